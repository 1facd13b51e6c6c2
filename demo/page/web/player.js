// The one player of the page: the transport makes it, all others find it on the window (played.js).
//
// A loop: {code, name, steps, bars: [[word, … steps], …], velocities, offsets}; the kick is a word's highest bit.
// Velocities 1-127 and offsets -.5 … .5 of a step stand by bar and cell (step · parts + part), or are null.
const player = (window.rhythmganPlayer ??= (() => {
  // as rhythmgan has them; tests hold these numbers to Python's
  const RATE = 44100;
  const PITCHES = [36, 38, 42, 46, 43, 47, 50, 51, 49, 70, 63, 56];
  const CLOSED = 2;
  const OPEN = 3;
  const PARTS = PITCHES.length;

  const AHEAD = 0.25; // seconds that are scheduled ahead of what is heard
  const AHEAD_HIDDEN = 1.6; // browsers wake a hidden page once a second only
  const AHEAD_MIDI = 0.1; // what is sent to a port cannot be taken back
  const SOON = 0.03; // what begins later can still be changed
  const LATE = 0.02; // after a break what is overdue by more is left out, not played at once
  const LOUDEST = 8; // no wave before the limiter is larger
  const CLOCKS = 96; // MIDI clocks of a bar

  const listeners = new Set();
  const kits = new Map(); // name → {rate, lengths, knee, choke, samples, buffers}
  let context, bus, entry, meter, wave, fade, clicks;
  let opening = false; // between a click and the sound that a browser allows after it
  let settings = { bpm: 120, swing: 0.5, feel: "own", sounds: "acoustic", metronome: false, countIn: false };
  let mix = { mute: Array(PARTS).fill(false), solo: Array(PARTS).fill(false), level: Array(PARTS).fill(1) };
  let now = null; // what plays: {id, loop}
  let coming = null; // what plays from the next bar line on: {id, loop, restart}
  let spans = []; // bars that are heard, or scheduled: see span()
  let done = 0; // all that begins before is scheduled
  let sent = 0; // and sent to the MIDI port
  let voices = []; // one-shots that may still be taken back: {time, source}
  let ringing = []; // open hats: {time, until, end, gain, level}
  let timer, frame;

  // -- what sounds when: the table that rhythmgan.sound has as well ----------------------------------------

  // to the nearest whole number, of two the even one, as NumPy does
  function rint(x) {
    const low = Math.floor(x);
    const over = x - low;
    return over < 0.5 || (over === 0.5 && low % 2 === 0) ? low : low + 1;
  }

  // velocities of a bar that has none of its own
  function accents(steps) {
    const perBeat = steps / 4;
    return Array.from({ length: steps }, (_, step) => {
      if (step === 0) return 112;
      if (step % perBeat === 0) return 100;
      return (step * 2) % perBeat === 0 ? 88 : 76;
    });
  }

  // where a bar's steps begin in beats, and the next bar line
  function stepBeats(steps, swing) {
    const straight = Array.from({ length: steps + 1 }, (_, step) => step * (4 / steps));
    if (swing === 0.5 || steps % 3 === 0) return straight; // triplets have no sixteenths to swing
    return straight.map((beat) => {
      const eighth = Math.floor(beat * 2);
      const within = beat * 2 - eighth;
      const bent = within < 0.5 ? (swing / 0.5) * within : ((1 - swing) / 0.5) * (within - 0.5) + swing;
      return (eighth + bent) / 2;
    });
  }

  // rows {bar, step, part, velocity, time, until} by time, in seconds from the loop's start
  function table(loop, { bpm, swing, feel }) {
    const { steps } = loop;
    const beats = stepBeats(steps, swing);
    const plain = accents(steps);
    const perBar = ((4 * 60) / bpm) * RATE;
    const rows = [];
    loop.bars.forEach((words, bar) => {
      const velocities = feel === "own" ? loop.velocities?.[bar] : null;
      const offsets = feel === "own" ? loop.offsets?.[bar] : null;
      words.forEach((word, step) => {
        for (let part = 0; part < PARTS; part++) {
          if (!((word >> (PARTS - 1 - part)) & 1)) continue;
          const cell = step * PARTS + part;
          const offset = Math.fround(offsets?.[cell] ?? 0);
          const from = offset < 0 ? (step || steps) - 1 : step; // a share of the way to the step before, or after
          let beat = beats[step] + offset * (beats[from + 1] - beats[from]);
          if (bar === 0) beat = Math.max(beat, 0); // what would begin before the loop begins with it
          const start = rint(bar * perBar) + rint(((beat * 60) / bpm) * RATE);
          rows.push({ bar, step, part, velocity: velocities?.[cell] || plain[step], start, beat: 4 * bar + beat });
        }
      });
    });
    rows.sort((a, b) => a.start - b.start || a.beat - b.beat);
    const closed = rows.filter((row) => row.part === CLOSED).map((row) => row.start);
    if (closed.length) closed.push(closed[0] + rint(loop.bars.length * perBar)); // of the next time round
    return rows.map(({ bar, step, part, velocity, start }) => {
      const until = part === OPEN ? closed.find((hat) => hat > start) : undefined;
      return { bar, step, part, velocity, time: start / RATE, until: until === undefined ? null : until / RATE };
    });
  }

  // -- bars in time ----------------------------------------------------------------------------------------

  let known = {}; // the rows of one loop in one tempo, swing and feel, by the bar in whose time they begin

  function rowsByBar(loop, tempo) {
    if (known.loop !== loop || known.tempo !== tempo) {
      const seconds = 240 / tempo.bpm;
      const bars = loop.bars.map(() => []);
      for (const row of table(loop, tempo)) {
        const bar = Math.min(Math.floor(row.time / seconds + 1e-9), bars.length - 1);
        bars[bar].push({ ...row, at: Math.max(row.time - bar * seconds, 0) });
      }
      known = { loop, tempo, bars };
    }
    return known.bars;
  }

  let tempo = settings; // the settings by which the next bar is played

  // A bar in time, after another one: {line, end, bar, id, loop, tempo, wanted, changed, early, entries}. Bar -1 counts
  // in; `wanted` is what was coming when it was planned; `changed` says that the bar before was one of another loop or
  // tempo, and `early` which parts began in it already.
  function span(line, bar, { id, loop }, wanted, after) {
    const made = { line, end: line + 240 / tempo.bpm, bar, id, loop, tempo, wanted };
    made.changed = !after || after.loop !== loop || after.tempo !== tempo;
    made.early = new Set(after?.entries.filter((row) => row.bar > after.bar).map((row) => row.part));
    fill(made);
    return made;
  }

  // what begins within a bar: rows of the table, and clicks of the metronome
  function fill(made) {
    const { bar, loop } = made;
    made.entries = [];
    if (bar >= 0) {
      const bars = rowsByBar(loop, made.tempo);
      made.entries.push(...bars[bar]);
      if (made.changed) {
        // what is early on the one began in the bar before; if that was another one, it begins with this
        const missed = bar ? bars[bar - 1].filter((row) => row.bar === bar) : [];
        made.entries.unshift(...missed.map((row) => ({ ...row, at: 0 })));
        made.entries = made.entries.filter((row) => row.step || row.bar !== bar || !made.early.has(row.part));
      }
    }
    if (bar < 0 || settings.metronome) {
      const beat = 60 / made.tempo.bpm;
      for (let i = 0; i < 4; i++) made.entries.push({ at: i * beat, click: i ? 1 : 0 });
    }
  }

  function next(after) {
    if (coming && after.wanted !== coming) {
      const bar = coming.restart || after.bar < 0 ? 0 : (after.bar + 1) % coming.loop.bars.length;
      return span(after.end, bar, coming, coming, after);
    }
    return span(after.end, (after.bar + 1) % after.loop.bars.length, after, after.wanted, after);
  }

  // take back what has not begun, and plan it anew
  function again() {
    if (!spans.length) return;
    const from = context.currentTime + SOON;
    for (const voice of voices) if (voice.time >= from) voice.source.stop();
    voices = voices.filter((voice) => voice.time < from);
    ringing = ringing.filter((hat) => hat.time < from);
    for (const hat of ringing) {
      if (hat.until < from) continue;
      hat.level.gain.cancelScheduledValues(from);
      hat.until = Infinity;
    }
    done = Math.min(done, from);
    spans = spans.filter((each, place) => place === 0 || each.line < from);
    for (const each of spans) fill(each);
    schedule();
  }

  // -- sound -----------------------------------------------------------------------------------------------

  function unpack(bytes) {
    const head = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    const facts = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + head)));
    return { ...facts, samples: new Int16Array(bytes.slice(4 + head).buffer), buffers: null };
  }

  // the kit of the chosen sounds, or another one until that has come
  function kit() {
    const chosen = kits.get(settings.sounds) ?? kits.values().next().value;
    if (!chosen || chosen.buffers) return chosen;
    let place = 0;
    chosen.buffers = chosen.lengths.map((length) => {
      const buffer = new AudioBuffer({ length, numberOfChannels: 2, sampleRate: chosen.rate });
      for (const side of [0, 1]) {
        const channel = buffer.getChannelData(side);
        for (let i = 0; i < length; i++) channel[i] = chosen.samples[place + 2 * i + side] / 32767;
      }
      place += 2 * length;
      return buffer;
    });
    chosen.samples = null;
    return chosen;
  }

  // the sound's way out; a browser allows it after a click only
  function open() {
    if (!context) {
      context = new AudioContext({ latencyHint: "interactive" });
      context.addEventListener("statechange", () => {
        if (context.state === "running") opening = false;
        tell();
      });
    }
    resume();
    if (entry || !kits.size) return;
    const { knee, choke } = kit();
    entry = new GainNode(context, { gain: 1 / LOUDEST }); // a shaper takes -1 … 1 only
    meter = new AnalyserNode(context, { fftSize: 2048 });
    wave = new Float32Array(meter.fftSize);
    entry.connect(new WaveShaperNode(context, { curve: kneeCurve(knee) })).connect(meter).connect(context.destination);
    fade = { seconds: choke, curve: Float32Array.from({ length: 33 }, (_, i) => Math.cos((i / 32) * (Math.PI / 2)) ** 2) };
    clicks = [1760, 1320].map(click);
    bus = newBus();
  }

  // a way to the limiter with a gain for each part; what is stopped keeps its own until it has faded
  function newBus() {
    const master = new GainNode(context);
    master.connect(entry);
    const parts = gains().map((gain) => {
      const node = new GainNode(context, { gain });
      node.connect(master);
      return node;
    });
    return { master, parts };
  }

  function gains() {
    const alone = mix.solo.some(Boolean);
    return mix.level.map((level, part) => (mix.mute[part] || (alone && !mix.solo[part]) ? 0 : level));
  }

  // the same bend of loud waves as in the files that are downloaded
  function kneeCurve(knee) {
    const curve = new Float32Array(8193);
    const room = 1 - knee;
    for (let i = 0; i < curve.length; i++) {
      const x = LOUDEST * ((2 * i) / (curve.length - 1) - 1);
      const over = Math.abs(x) - knee;
      curve[i] = over > 0 ? Math.sign(x) * (knee + room * Math.tanh(over / room)) : x;
    }
    return curve;
  }

  function click(hz) {
    const buffer = new AudioBuffer({ length: 0.04 * RATE, sampleRate: RATE });
    const channel = buffer.getChannelData(0);
    for (let i = 0; i < channel.length; i++) {
      channel[i] = 0.45 * Math.sin((2 * Math.PI * hz * i) / RATE) * Math.exp(-i / (0.007 * RATE)) * (1 - Math.exp(-i / 20));
    }
    return buffer;
  }

  function sound(row, time) {
    const { buffers } = kit();
    const buffer = row.click === undefined ? buffers[row.part] : clicks[row.click];
    const source = new AudioBufferSourceNode(context, { buffer });
    if (row.click === undefined) {
      if (row.part === CLOSED) silence(time);
      const gain = (row.velocity / 127) ** 1.5;
      const level = new GainNode(context, { gain });
      source.connect(level).connect(bus.parts[row.part]);
      if (row.part === OPEN) ringing.push({ time, until: Infinity, end: time + buffer.duration, gain, level });
    } else source.connect(bus.master);
    source.start(time);
    voices.push({ time, source });
  }

  // a closed hat: open ones that began before it fade, as in the files
  function silence(time) {
    for (const hat of ringing) {
      if (hat.until < Infinity || hat.time > time - 0.5 / RATE || hat.end < time) continue;
      hat.until = time;
      hat.level.gain.setValueCurveAtTime(fade.curve.map((share) => share * hat.gain), time, fade.seconds);
    }
  }

  function begin() {
    const time = context.currentTime + 0.06;
    done = sent = context.currentTime;
    tempo = settings;
    port.started = false;
    spans = [span(time, settings.countIn ? -1 : 0, now, null)];
    timer = setInterval(schedule, 25);
    schedule();
    frame = requestAnimationFrame(follow);
  }

  function schedule() {
    if (!spans.length) return;
    const time = context.currentTime;
    const until = time + (document.hidden ? AHEAD_HIDDEN : AHEAD);
    while (spans.at(-1).end < until) spans.push(next(spans.at(-1)));
    for (const { line, entries } of spans) {
      for (const row of entries) {
        const start = line + row.at;
        if (start >= done && start < until && start >= time - LATE) sound(row, Math.max(start, time));
      }
    }
    done = Math.max(done, until);
    while (voices.length && voices[0].time < time - 1) voices.shift();
    while (ringing.length && ringing[0].end < time) ringing.shift();
    while (spans.length > 1 && spans[1].line < time - 1) spans.shift();
    send(time + (document.hidden ? AHEAD_HIDDEN : AHEAD_MIDI));
    arrive();
  }

  // a listener that fails keeps neither the others nor the player from going on
  function tell() {
    for (const listener of listeners) {
      try {
        listener();
      } catch (error) {
        console.error(error);
      }
    }
  }

  // where a bar is heard now; null before the first
  function placeIn(heard) {
    if (!heard || heard.bar < 0) return null;
    const { bar, line, loop } = heard;
    const beat = ((context.currentTime - line) * heard.tempo.bpm) / 60;
    const beats = stepBeats(loop.steps, heard.tempo.swing);
    const step = Math.max(beats.findLastIndex((each, i) => i < loop.steps && each <= beat + 1e-6), 0);
    return { bar, step, time: line + (beats[step] * 60) / heard.tempo.bpm };
  }

  // the bar that is heard: what was coming has come. Loop and place are told together, as a step is one of its loop
  function arrive() {
    const heard = spans.findLast((each) => each.line <= context.currentTime);
    const came = heard && coming && heard.wanted === coming;
    const isOther = came || (heard && (heard.loop !== now.loop || heard.id !== now.id));
    if (isOther) now = { id: heard.id, loop: heard.loop };
    if (came) coming = null;
    const place = placeIn(heard);
    const moved = ["bar", "step", "time"].some((of) => place?.[of] !== self.place?.[of]);
    if (moved) self.place = place;
    if (isOther || moved) tell();
  }

  function follow() {
    frame = requestAnimationFrame(follow); // first, as a listener may stop the player
    arrive();
  }

  function resume() {
    if (!context || context.state === "running") return;
    opening = true;
    context.resume().catch(() => {}); // it says so by its state
    // a browser that does not answer has not allowed it
    setTimeout(() => {
      opening = false;
      tell();
    }, 1000);
  }

  // -- MIDI ------------------------------------------------------------------------------------------------

  const port = { access: null, output: null, started: false, late: null };

  // by how many milliseconds the clock of the page is ahead of that of the sound
  function lateness() {
    const stamp = context.getOutputTimestamp?.();
    const measured = stamp?.performanceTime
      ? stamp.performanceTime - stamp.contextTime * 1000
      : performance.now() - context.currentTime * 1000;
    // the two are read at slightly different moments: follow slowly, and at once after a break
    if (port.late === null || Math.abs(measured - port.late) > 20) port.late = measured;
    else port.late += 0.02 * (measured - port.late);
    return port.late;
  }

  // notes and clocks of all that begins before `until`
  function send(until) {
    if (port.output) {
      const late = lateness();
      const at = (time) => time * 1000 + late;
      const levels = gains();
      for (const { line, end, bar, entries } of spans) {
        for (let i = 0; i < CLOCKS; i++) {
          const time = line + ((end - line) * i) / CLOCKS;
          if (time < sent || time >= until) continue;
          if (i === 0 && bar === 0 && !port.started) {
            port.output.send([0xfa], at(time));
            port.started = true;
          }
          port.output.send([0xf8], at(time));
        }
        for (const row of entries) {
          const time = line + row.at;
          if (row.click !== undefined || !levels[row.part] || time < sent || time >= until) continue;
          // as loud as the gain of its level makes it
          const velocity = Math.min(Math.max(Math.round(row.velocity * levels[row.part] ** (2 / 3)), 1), 127);
          port.output.send([0x99, PITCHES[row.part], velocity], at(time));
          port.output.send([0x89, PITCHES[row.part], 0], at(time) + 50);
        }
      }
    }
    sent = Math.max(sent, until);
  }

  const midi = {
    available: "requestMIDIAccess" in navigator,
    // [{id, name}, …]; a browser asks the visitor first, and a promise is rejected where the answer is no
    async outputs() {
      if (!port.access) {
        port.access = await navigator.requestMIDIAccess();
        port.access.onstatechange = () => {
          if (port.output && !port.access.outputs.get(port.output.id)) port.output = null; // unplugged
          tell();
        };
      }
      return midi.ports;
    },
    choose(id) {
      if (port.started) port.output?.send([0xfc]);
      port.output = (id !== null && port.access?.outputs.get(id)) || null;
      port.started = false;
      tell();
    },
    get chosen() {
      return port.output?.id ?? null;
    },
    // what is plugged in; null until `outputs` was answered
    get ports() {
      return port.access ? [...port.access.outputs.values()].map(({ id, name }) => ({ id, name: name || id })) : null;
    },
  };

  // -- what others call ------------------------------------------------------------------------------------

  const same = (one, other) =>
    one === other ||
    ["steps", "bars", "velocities", "offsets"].every((of) => JSON.stringify(one[of]) === JSON.stringify(other[of]));

  document.addEventListener("visibilitychange", schedule); // a hidden page needs more ahead, now
  for (const touch of ["pointerdown", "keydown"]) {
    document.addEventListener(touch, () => now && self.state === "suspended" && resume(), true);
  }

  const self = {
    place: null, // {bar, step, time} that is heard now
    last: null, // {id, loop} that was played last, or is to be
    keys: [], // [keys, what they do, where: everywhere if it is not said], for the list of them
    midi,
    table,
    resume,
    // a kit as packed by transport.py; returns its name
    load(bytes) {
      const made = unpack(bytes);
      if (!kits.has(made.sounds)) {
        kits.set(made.sounds, made);
        if (now) {
          open();
          if (spans.length) again();
          else begin();
        }
      }
      return made.sounds;
    },
    // tempo, swing and feel from the next bar line on, the rest at once
    set(wanted) {
      const { bpm, swing, feel, sounds, metronome, countIn } = { ...settings, ...wanted };
      const changed = { bpm, swing, feel, sounds, metronome, countIn };
      if (Object.keys(changed).every((name) => changed[name] === settings[name])) return;
      settings = changed;
      if (bpm !== tempo.bpm || swing !== tempo.swing || feel !== tempo.feel) tempo = settings;
      again();
      tell();
    },
    get settings() {
      return { ...settings };
    },
    setMix({ mute, solo, level }) {
      mix = { mute: [...mute], solo: [...solo], level: [...level] };
      const wanted = gains();
      bus?.parts.forEach((part, i) => part.gain.setTargetAtTime(wanted[i], context.currentTime, 0.005));
      tell();
    },
    mix: () => ({ mute: [...mix.mute], solo: [...mix.solo], level: [...mix.level] }),
    get id() {
      return now ? now.id : null;
    },
    get loop() {
      return now ? now.loop : null;
    },
    get coming() {
      return coming ? coming.loop : null;
    },
    get comingId() {
      return coming ? coming.id : null;
    },
    get state() {
      if (!context) return "none";
      return context.state === "running" || opening ? "running" : "suspended";
    },
    // from its first bar: at once, or at the next bar line where something plays
    play(id, loop) {
      open();
      self.last = { id, loop };
      if (!now) {
        now = { id, loop };
        if (kits.size) begin(); // or when the kit has come
      } else if (!spans.length) now = { id, loop };
      else {
        coming = { id, loop, restart: true };
        again();
      }
      tell();
    },
    // another loop for what plays, from the next bar line on: it goes on in the bar that is due
    queue(id, loop) {
      if (now && (coming ?? now).id === id) {
        if (same((coming ?? now).loop, loop)) return;
        self.last = { id, loop };
        if (!spans.length) now = { id, loop };
        else {
          coming = { id, loop, restart: coming?.restart ?? false };
          again();
        }
        tell();
      } else if (!now || self.last.id === id) self.last = { id, loop };
    },
    // an edit of what plays, heard at once
    replace(id, loop) {
      if (!now || self.last.id === id) self.last = { id, loop };
      if (!now) return;
      if (coming?.id === id) {
        if (now.id === id) coming = null;
        else coming = { ...coming, loop };
      }
      if (now.id === id) {
        now = { id, loop };
        for (const each of spans) {
          if (each.id !== id) continue;
          each.loop = loop;
          each.wanted = null;
          if (each.bar >= 0) each.bar %= loop.bars.length;
        }
      }
      again();
      tell();
    },
    stop() {
      clearInterval(timer);
      cancelAnimationFrame(frame);
      if (port.started) port.output?.send([0xfc]);
      port.started = false;
      now = coming = self.place = null;
      spans = [];
      voices = [];
      ringing = [];
      if (bus) {
        // what is scheduled already goes to a bus of the past
        const { master } = bus;
        master.gain.setTargetAtTime(0, context.currentTime, 0.01);
        setTimeout(() => master.disconnect(), 400);
        bus = newBus();
      }
      tell();
    },
    toggle(id, loop) {
      if (now && (coming ?? now).id === id) self.stop();
      else self.play(id, loop);
    },
    // root mean square of what is heard now
    level() {
      if (!meter) return 0;
      meter.getFloatTimeDomainData(wave);
      return Math.sqrt(wave.reduce((sum, x) => sum + x * x, 0) / wave.length);
    },
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  return self;
})());
