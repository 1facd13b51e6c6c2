"""A short campaign of hostile inputs through every door: what the long one does, with the same inputs every time."""

import sys

import campaign
import pytest
from doors import DOORS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits of a campaign are those of Linux")

INPUTS = 5000
"""Of all doors together: from thirty-odd of those that cost most to six hundred."""


@pytest.fixture(scope="module", autouse=True)
def _one_thread(one_thread):
    """Workers are forks, which have no threads."""


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_valid_inputs_are_answered_or_refused_as_promised(door, tmp_path):
    said = [campaign.open_door(door, data, tmp_path) for data in door.valid()]
    assert [what for what in said if what] == []
    assert None in said or door.name == "training: config.json"  # whose checkpoint is none


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_hostile_inputs_are_answered_or_refused_as_promised(door):
    if not door.valid():
        pytest.skip("it needs pyarrow")
    chunks = [chunk for chunk in campaign.plan(DOORS, INPUTS) if chunk.door == door.name]
    assert campaign.faults_of(list(campaign.run([door], chunks))) == {}
