// What a hand does to a loop, as plain functions: no page, no sound.
// A drawn loop is {name, code, steps, velocities, offsets}: of each bar those of its cells, step after step; a velocity
// of 0 is a cell that does not sound.

function drawnLoop(loop, kit) {
  const parts = kit.names.length;
  const accents = kit.accents[loop.steps];
  const velocities = loop.bars.map((words, bar) =>
    words.flatMap((word, step) =>
      kit.names.map((_, part) => {
        const own = loop.velocities?.[bar][step * parts + part] || accents[step];
        return sounds(word, part, parts) ? own : 0;
      }),
    ),
  );
  const offsets = velocities.map((of, bar) => of.map((_, cell) => loop.offsets?.[bar][cell] ?? 0));
  return { name: loop.name, code: loop.code, steps: loop.steps, velocities, offsets };
}

// the words of each bar
function wordsOf(drawn, kit) {
  const parts = kit.names.length;
  return drawn.velocities.map((of) =>
    Array.from({ length: drawn.steps }, (_, step) =>
      of.slice(step * parts, (step + 1) * parts).reduce((word, velocity) => 2 * word + Number(velocity > 0), 0),
    ),
  );
}

// whether it has accents on the grid, and no playing of its own
function isPlain(drawn, kit) {
  const accents = kit.accents[drawn.steps];
  const parts = kit.names.length;
  return (
    drawn.velocities.every((of) => of.every((velocity, cell) => !velocity || velocity === accents[Math.floor(cell / parts)])) &&
    drawn.offsets.every((of) => of.every((offset) => !offset))
  );
}

// how each bar is played, as text: its velocities, and how late its cells are
function playingsOf(drawn) {
  return drawn.velocities.map((of, bar) => {
    const offsets = of.map((velocity, cell) => (velocity ? drawn.offsets[bar][cell] : 0));
    return JSON.stringify([of, offsets]);
  });
}

// as the player and Python know loops
function loopOf(drawn, kit) {
  const { name, code, steps, velocities, offsets } = drawn;
  const late = offsets.some((of) => of.some(Boolean));
  const own = !isPlain(drawn, kit);
  return { name, code, steps, bars: wordsOf(drawn, kit), velocities: own ? velocities : null, offsets: late ? offsets : null };
}

// a cell gets a velocity; one that stays keeps how late it is, one that is new is on the grid
function setCell(drawn, { bar, step, part }, velocity, kit) {
  const cell = step * kit.names.length + part;
  if (!velocity || !drawn.velocities[bar][cell]) drawn.offsets[bar][cell] = 0;
  drawn.velocities[bar][cell] = velocity;
}

function velocityAt(drawn, { bar, step, part }, kit) {
  return drawn.velocities[bar][step * kit.names.length + part];
}

function accentAt(drawn, step, kit) {
  return kit.accents[drawn.steps][step];
}

// cells came to other places; where they had no more than accents, they have those of their places
function accented(drawn, wasPlain, kit) {
  if (!wasPlain) return;
  const parts = kit.names.length;
  drawn.velocities = drawn.velocities.map((of) =>
    of.map((velocity, cell) => (velocity ? accentAt(drawn, Math.floor(cell / parts), kit) : 0)),
  );
}

// a part, later by so many steps: the loop is a ring
function rotatePart(drawn, part, by, kit) {
  const wasPlain = isPlain(drawn, kit);
  const parts = kit.names.length;
  const ring = drawn.velocities.length * drawn.steps;
  for (const of of [drawn.velocities, drawn.offsets]) {
    const cell = (at) => [Math.floor(at / drawn.steps), (at % drawn.steps) * parts + part];
    const line = Array.from({ length: ring }, (_, at) => of[cell(at)[0]][cell(at)[1]]);
    line.forEach((value, at) => {
      const [bar, place] = cell((((at + by) % ring) + ring) % ring);
      of[bar][place] = value;
    });
  }
  accented(drawn, wasPlain, kit);
}

function clearPart(drawn, part, kit) {
  const parts = kit.names.length;
  for (const of of [...drawn.velocities, ...drawn.offsets]) {
    for (let cell = part; cell < of.length; cell += parts) of[cell] = 0;
  }
}

// the cells of a beat, to be pasted
function copyBeat(drawn, { bar, step }, kit) {
  const size = (drawn.steps / 4) * kit.names.length;
  const from = Math.floor(step / (drawn.steps / 4)) * size;
  const cut = (of) => of[bar].slice(from, from + size);
  return { velocities: cut(drawn.velocities), offsets: cut(drawn.offsets), wasPlain: isPlain(drawn, kit) };
}

// false where the beat is of another grid
function pasteBeat(drawn, { bar, step }, beat, kit) {
  const size = (drawn.steps / 4) * kit.names.length;
  if (beat?.velocities.length !== size) return false;
  const wasPlain = beat.wasPlain && isPlain(drawn, kit);
  const from = Math.floor(step / (drawn.steps / 4)) * size;
  drawn.velocities[bar].splice(from, size, ...beat.velocities);
  drawn.offsets[bar].splice(from, size, ...beat.offsets);
  accented(drawn, wasPlain, kit);
  return true;
}
