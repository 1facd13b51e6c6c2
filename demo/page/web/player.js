// One player for the whole page: whichever component comes first makes it, the others find it on the window.
const player = (window.rhythmganPlayer ??= (() => {
  const AHEAD = 0.25; // seconds that are scheduled ahead of what is heard
  const LATE = 0.02;
  const LOUDEST = 8; // no wave before the limiter is larger
  const AHEAD_HIDDEN = 1.6; // browsers wake a hidden page once a second only
  const listeners = new Set();
  let kit = null; // {rate, buffers, gains, knee, open, closed, choke}; gains: for each grid that of each step
  let bytes = null;
  let context, master, entry, meter;
  let tempo = { bpm: 120, beats: {} }; // beats: for each grid where each step begins, and the bar's end
  let loop = null; // {id, bars: [{words: [word, …], played}, …]}; played: gains and offsets by step and part, 0 where a bar has accents
  let next = { bar: 0, step: 0, time: 0 };
  let shown = []; // what was scheduled and is not yet heard
  let openHats = []; // that still sound
  let timer = null;

  function unpack() {
    const head = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    const facts = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + head)));
    const sound = new Int16Array(bytes.slice(4 + head).buffer);
    let place = 0;
    const buffers = facts.lengths.map((length) => {
      const buffer = context.createBuffer(2, length, facts.rate);
      for (const side of [0, 1]) {
        const channel = buffer.getChannelData(side);
        for (let i = 0; i < length; i++) channel[i] = sound[place + 2 * i + side] / 32767;
      }
      place += 2 * length;
      return buffer;
    });
    kit = { ...facts, buffers };
  }

  // the sound's way out; a browser allows it after a click only
  function open() {
    context ??= new AudioContext({ latencyHint: "interactive" });
    context.resume();
    if (kit || !bytes) return;
    unpack();
    entry = new GainNode(context, { gain: 1 / LOUDEST }); // a shaper takes -1 … 1 only
    meter = new AnalyserNode(context, { fftSize: 2048 });
    entry.connect(new WaveShaperNode(context, { curve: kneeCurve() })).connect(meter).connect(context.destination);
    master = new GainNode(context);
    master.connect(entry);
  }

  function start() {
    next = { bar: 0, step: 0, time: context.currentTime + 0.06 };
    shown = [];
    timer = setInterval(schedule, 25);
    schedule();
    requestAnimationFrame(follow);
  }

  // the same bend of loud waves as in the files that are downloaded
  function kneeCurve() {
    const curve = new Float32Array(8193);
    const room = 1 - kit.knee;
    for (let i = 0; i < curve.length; i++) {
      const x = LOUDEST * ((2 * i) / (curve.length - 1) - 1);
      const over = Math.abs(x) - kit.knee;
      curve[i] = over > 0 ? Math.sign(x) * (kit.knee + room * Math.tanh(over / room)) : x;
    }
    return curve;
  }

  function hit(part, gain, time) {
    const source = new AudioBufferSourceNode(context, { buffer: kit.buffers[part] });
    const level = new GainNode(context, { gain });
    source.connect(level).connect(master);
    source.start(time);
    if (part === kit.closed) {
      for (const hat of openHats) {
        hat.gain.setValueAtTime(hat.gain.value, time);
        hat.gain.linearRampToValueAtTime(0, time + kit.choke);
      }
      openHats = [];
    }
    if (part === kit.open) openHats = [...openHats.slice(-3), level];
  }

  // seconds from the start of a step of a bar to the start of the next one
  function length(bar, step) {
    const beats = tempo.beats[bar.words.length];
    return ((beats[step + 1] - beats[step]) * 60) / tempo.bpm;
  }

  // what comes in on another grid comes in on its first step that is not earlier than the one that was due
  function change(before, after) {
    if (before.words.length === after.words.length) return;
    const beats = tempo.beats[after.words.length];
    const due = tempo.beats[before.words.length][next.step];
    next.step = beats.findIndex((beat) => beat > due - 1e-6);
    next.time += ((beats[next.step] - due) * 60) / tempo.bpm;
    if (next.step === after.words.length) next.step = 0; // that is the next bar line
  }

  // seconds that a part is late on the next step: an offset is a share of the way to the step after, or to the one before
  function late(bar, part) {
    const offset = bar.played ? bar.played.offsets[next.step][part] : 0;
    return offset * length(bar, offset < 0 ? (next.step || bar.words.length) - 1 : next.step);
  }

  function schedule() {
    if (!loop || !kit) return;
    const until = context.currentTime + (document.hidden ? AHEAD_HIDDEN : AHEAD);
    while (next.time < until) {
      const bar = loop.bars[next.bar % loop.bars.length];
      const word = bar.words[next.step];
      const gains = bar.played?.gains[next.step];
      const parts = kit.buffers.length;
      // after a break what is overdue is left out, not played at once
      const due = next.time >= context.currentTime - LATE;
      for (let part = 0; part < parts; part++) {
        if (due && (word >> (parts - 1 - part)) & 1) {
          hit(part, gains?.[part] || kit.gains[bar.words.length][next.step], Math.max(next.time + late(bar, part), context.currentTime));
        }
      }
      shown.push({ bar: next.bar % loop.bars.length, step: next.step, time: next.time });
      next.time += length(bar, next.step);
      next.step += 1;
      if (next.step === bar.words.length) {
        next.step = 0;
        next.bar = (next.bar + 1) % loop.bars.length;
      }
    }
  }

  function tell() {
    for (const listener of listeners) listener();
  }

  function follow() {
    if (!loop) return;
    let changed = false;
    while (shown.length && shown[0].time <= context.currentTime) {
      self.place = shown.shift();
      changed = true;
    }
    if (changed) tell();
    requestAnimationFrame(follow);
  }

  document.addEventListener("visibilitychange", schedule); // a hidden page needs more ahead, now

  const self = {
    place: null, // {bar, step} that is heard now
    last: null, // the loop that was played last
    load(data) {
      if (bytes) return;
      bytes = data;
      if (loop) {
        open();
        start();
      }
    },
    set(wanted) {
      tempo = wanted;
    },
    get id() {
      return loop ? loop.id : null;
    },
    play(id, bars) {
      open();
      const before = loop;
      loop = self.last = { id, bars };
      if (before) {
        // the new loop comes in on the step that the old one is at
        change(before.bars[next.bar % before.bars.length], bars[0]);
        next.bar = 0;
      } else if (kit) start(); // or when the kit has come
      tell();
    },
    // other bars for a loop that plays, without a break
    replace(id, bars) {
      if (loop?.id === id) {
        change(loop.bars[next.bar % loop.bars.length], bars[next.bar % bars.length]);
        loop.bars = bars;
      }
      if (self.last?.id === id) self.last.bars = bars;
    },
    stop() {
      clearInterval(timer);
      loop = null;
      self.place = null;
      shown = [];
      openHats = [];
      if (master) {
        // what is scheduled already goes to a master of the past
        master.gain.setTargetAtTime(0, context.currentTime, 0.01);
        master = new GainNode(context);
        master.connect(entry);
      }
      tell();
    },
    toggle(id, bars) {
      if (self.id === id) self.stop();
      else self.play(id, bars);
    },
    // root mean square of what is heard now
    level() {
      if (!meter) return 0;
      const wave = new Float32Array(meter.fftSize);
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
