"""TensorBoard's files of a run that is resumed: what was logged after its checkpoint is taken out of them."""

from __future__ import annotations

import os
from pathlib import Path

from rhythmgan.files import whole_file


def cut_events(out: Path, done: int) -> None:
    """Take out what is logged of steps that the run has yet to do: it will log them again.

    A record that was cut by a kill ends its file. A file that has no point left is removed.

    Args:
        out: the folder of a run.
        done: the steps that are done; -1 where the run begins.

    Raises:
        OSError: a file cannot be read or replaced.
    """
    for path in sorted(out.glob("events.out.tfevents.*")):
        if path.is_file():
            _cut(path, done)


def _cut(path: Path, done: int) -> None:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader  # type: ignore[import-untyped]
    from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-untyped]
    from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]

    records: list[bytes] = []
    n_points, n_late = 0, 0
    for record in RawEventFileLoader(os.fspath(path)).Load():
        try:
            event = Event.FromString(record)
        except DecodeError:
            break
        if not event.HasField("summary"):
            records.append(record)
        elif event.step <= done:
            records.append(record)
            n_points += 1
        else:
            n_late += 1
    if not n_points:
        path.unlink()
    elif n_late:
        with whole_file(path) as file:
            writer = RecordWriter(file)
            for record in records:
                writer.write(record)
