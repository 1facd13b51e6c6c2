#!/usr/bin/env bash
# Make everything that ships, from folders of songs: weights, tables and pictures.
#
#   recipes/bundled.sh SONGS OUT
#
# SONGS holds lakh/, lpd/ and groove/ (see data/README.md). The commands rhythmgan, rl-tuner and python are those
# of the active virtual environment. OUT gets
#
#   corpus.npz          the bars of the songs
#   run/                one folder for each training, with its checkpoint
#   weights/            the weights files and manifest.json, as in rhythmgan/weights
#   docs/               samples and pictures, as in docs
#   tables/             the counts of the corpus, the features, the evaluations of bars and of steering
#   loop/               what `rl-tuner steer` wrote for the picture
#
# One file that ships is not made here: latent-agent.safetensors, the agent of whole-bar moves of earlier releases. It
# stays in rhythmgan/weights as it is. If the GAN beside it becomes another one, train it anew: rl-tuner train --env latent.
# The edit-agent that ships is the best of five seeds, see docs/reproductions/jaki.md; here one is trained. The tables of
# reproduced systems are made by recipes/reproductions/*.py.
#
# A stopped recipe is resumed by the same command: each training resumes from its checkpoint, and the corpus is
# made once (delete corpus.npz to read the songs again).
#
#   QUICK=1     run every command in a tiny form: minutes, and weights that are good for nothing
#   DRY_RUN=1   print the commands and run none
set -euo pipefail

if [ $# != 2 ]; then
  echo "usage: recipes/bundled.sh SONGS OUT" >&2
  exit 2
fi
songs=$1 out=$2
recipes=$(cd "$(dirname "$0")" && pwd)

# Print a command, then run it.
run() {
  echo "+ $*" >&2
  if [ -z "${DRY_RUN:-}" ]; then "$@"; fi
}

# The same, and write what the command prints to a file as well.
keep() {
  local file=$1
  shift
  echo "+ $* | tee $file" >&2
  if [ -z "${DRY_RUN:-}" ]; then "$@" | tee "$file"; fi
}

if [ -z "${QUICK:-}" ]; then
  gan=(--pretrain-steps 3000 --train-steps 3000 --denoiser-steps 2500 --batch-size 256 --threads 1)
  gan12=(--pretrain-steps 2000 --train-steps 1500 --denoiser-steps 2500 --batch-size 256 --threads 1)
  prior=(--train-steps 2400 --threads 1)
  prior12=(--train-steps 1000 --threads 1)
  agent=(--threads 1)
  bar_lstm=(--train-steps 2500 --threads 1)
  small=(--threads 1)
  recipe=()
  evaluation=(--split test)
  steering=(--threads 1)
else
  gan=(--pretrain-steps 50 --train-steps 50 --denoiser-steps 50 --batch-size 32 --threads 1)
  gan12=("${gan[@]}")
  prior=(--train-steps 50 --threads 1)
  prior12=("${prior[@]}")
  agent=(--train-steps 5000 --num-envs 64 --bars 1000 --threads 1)
  bar_lstm=(--train-steps 50 --threads 1)
  small=(--train-steps 50 --threads 1)
  recipe=(--quick)
  evaluation=(--split test --quick)
  steering=(--threads 1 --quick --seeds 1 --calls 32)
fi

if [ -z "${DRY_RUN:-}" ]; then
  songs=$(cd "$songs" && pwd)
  mkdir -p "$out"
  cd "$out"
fi
run mkdir -p run weights docs/data docs/sound docs/steering tables

# the corpus
if [ ! -e corpus.npz ]; then
  keep tables/corpus.md rhythmgan prepare "$songs/lakh" "$songs/lpd" "$songs/groove" --out corpus.npz
fi

keep tables/grooves.md rhythmgan grooves corpus.npz --grid 16 --picture docs/data/roles.png

# the weights
run rhythmgan train gan --data corpus.npz --grid 16 --out run/gan "${gan[@]}"
run rhythmgan train gan --data corpus.npz --grid 12 --out run/gan12 "${gan12[@]}"
run rhythmgan train prior --data corpus.npz --grid 16 --out run/prior "${prior[@]}"
run rhythmgan train prior --data corpus.npz --grid 12 --out run/prior12 "${prior12[@]}"
run rl-tuner train --data corpus.npz --out run/agent "${agent[@]}" \
  --weights run/gan/gan.safetensors --prior run/prior/prior.safetensors
run rl-tuner train --data corpus.npz --out run/agent12 "${agent[@]}" \
  --weights run/gan12/gan.safetensors --prior run/prior12/prior.safetensors
# those of reproduced systems
run rhythmgan train bar-lstm --data corpus.npz --out run/bar-lstm "${bar_lstm[@]}"
run rl-tuner train --env edit --data corpus.npz --out run/edit "${small[@]}" --weights run/bar-lstm/bar-lstm.safetensors
run rhythmgan train answer --data corpus.npz --out run/answer "${small[@]}"
run rl-tuner train --env toggle --data corpus.npz --out run/toggle "${small[@]}" --weights run/answer/answer.safetensors
run rl-tuner toggle train --live --out run/live --threads 1
run rhythmgan train note-cnn --data corpus.npz --out run/note-cnn "${small[@]}"
run python "$recipes/reproductions/ravula_cao.py" --data corpus.npz --cnn run/note-cnn/note-cnn.safetensors \
  --out run/ravula_cao ${recipe[@]+"${recipe[@]}"}
run cp run/bar-lstm/bar-lstm.safetensors run/edit/edit-agent.safetensors run/answer/answer.safetensors \
  run/toggle/answer-agent.safetensors run/live/toggle-agent.safetensors run/note-cnn/note-cnn.safetensors weights
run cp run/ravula_cao/weights/append-agent.safetensors run/ravula_cao/weights/append-published.safetensors weights
run python "$recipes/reproductions/rythmgan.py" --data corpus.npz --songs "$songs" --out run/rythmgan \
  ${recipe[@]+"${recipe[@]}"}
run python "$recipes/reproductions/trapgenerator.py" --data corpus.npz --out run/trapgenerator ${recipe[@]+"${recipe[@]}"}
run cp run/rythmgan/weights/rythmgan.safetensors run/rythmgan/weights/rythmgan12.safetensors \
  run/rythmgan/weights/rythmgan24.safetensors run/rythmgan/weights/rythmgan-published.safetensors weights
run cp run/trapgenerator/weights/trap.safetensors run/trapgenerator/weights/trap16.safetensors weights

keep tables/features.md rhythmgan features corpus.npz --split train --grid 16 --reference run/gan/reference.safetensors
run cp run/gan12/gan.safetensors weights/gan12.safetensors
run cp run/prior12/prior.safetensors weights/prior12.safetensors
run cp run/agent12/agent.safetensors weights/agent12.safetensors
run cp run/gan/gan.safetensors run/prior/prior.safetensors run/agent/agent.safetensors run/gan/reference.safetensors weights
run python "$recipes/groove_swing.py" "$songs/groove" weights/groove_swing.json
run python "$recipes/manifest.py" weights

# the tables
models=(--weights weights/gan.safetensors --prior weights/prior.safetensors)
bars=(rhythmgan evaluate weights/gan.safetensors weights/prior.safetensors --data corpus.npz "${evaluation[@]}")
run "${bars[@]}" --out tables/bars
run "${bars[@]}" --kit gm9 --baseline memoriser --out tables/bars-gm9
for role in groove variation fill; do
  run "${bars[@]}" --role $role --baseline memoriser --out tables/bars-$role
done
run rhythmgan evaluate weights/gan12.safetensors weights/prior12.safetensors --data corpus.npz "${evaluation[@]}" \
  --baseline memoriser --out tables/bars-12
run rl-tuner evaluate --data corpus.npz --out tables/steering "${models[@]}" --agent weights/agent.safetensors "${steering[@]}"
run rl-tuner evaluate --data corpus.npz --out tables/steering-12 --weights weights/gan12.safetensors \
  --prior weights/prior12.safetensors --agent weights/agent12.safetensors "${steering[@]}"

# the pictures
for role in groove variation fill; do
  run rhythmgan sample --n 64 --role $role --format midi,png --weights weights/gan.safetensors --out docs/samples/$role
done
run rhythmgan sample --n 64 --style jazz --format png --weights weights/gan12.safetensors --out docs/samples/triplets
run rhythmgan interpolate --seeds 3-17 --frames 16 --format png --weights weights/gan.safetensors --out docs/samples/morph
run rhythmgan vary docs/samples/groove/seed-000003.mid --n 15 --amount .1 --format png --weights weights/gan.safetensors \
  --out docs/samples/variations
run rhythmgan sample --n 1 --bars 4 --bpm 110 --format wav "${models[@]}" --out docs/sound
run rl-tuner steer --density 20 --syncopation 6 --n 8 "${models[@]}" --agent weights/agent.safetensors --out loop
run python "$recipes/closeness.py" docs/steering/closeness.png
run cp tables/steering/steering.png docs/steering/plot.png

if [ -n "${DRY_RUN:-}" ]; then exit; fi
cat >&2 <<END

$out is complete. To ship it, in a clone:
  cp $out/weights/* rhythmgan/weights/
  cp -R $out/docs/. docs/
  python recipes/manifest.py
  python recipes/closeness.py docs/steering/closeness.png
  python benchmarks/page.py --data $out/corpus.npz --pictures docs/page
END
