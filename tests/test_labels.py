"""What the networks are told of a bar, and that each of it reaches all that it is for."""

import numpy as np
import pytest
import torch

from rhythmgan.augment import N_AUGMENTATIONS
from rhythmgan.conditions import Condition
from rhythmgan.models.config import GANConfig
from rhythmgan.models.gan import GAN
from rhythmgan.models.labels import LabelTable, labels_of

pytestmark = pytest.mark.usefixtures("one_thread")

ROLES, STYLES = ("groove", "fill"), ("funk", "rock", "jazz")
COLUMNS = ("augmentation", "role", "style")
REAL = torch.zeros(1, 3, dtype=torch.long)


@pytest.mark.parametrize(
    ("condition", "labels"),
    [
        (Condition(), [0, 0, 0]),
        (Condition("groove"), [0, 1, 0]),
        (Condition("fill", "rock"), [0, 2, 2]),
        (Condition("any", "jazz"), [0, 0, 3]),
    ],
)
def test_names_are_counted_from_1_and_any_is_0(condition, labels):
    found = labels_of(condition, ROLES, STYLES)
    assert found.tolist() == [labels]
    assert found.dtype == torch.long


def test_roles_count_by_their_place_in_the_model_not_among_all_roles():
    assert labels_of(Condition("fill"), ("fill",), ()).tolist() == [[0, 1, 0]]
    with pytest.raises(ValueError, match="variation"):
        labels_of(Condition("variation"), ROLES, STYLES)


def test_a_table_adds_three_vectors():
    table = LabelTable(2, 3, 2, 1.0)
    assert [tuple(each.shape) for each in (table.augmentation, table.role, table.style)] == [(6, 2), (3, 2), (4, 2)]
    with torch.no_grad():
        table.augmentation.copy_(torch.arange(12.0).view(6, 2))
        table.role.copy_(torch.tensor([[0.0, 100], [200, 300], [400, 500]]))
        table.style.copy_(torch.tensor([[0.0, 1e3], [2e3, 3e3], [4e3, 5e3], [6e3, 7e3]]))
    labels = torch.tensor([[0, 0, 0], [5, 2, 1], [3, 1, 3]])
    assert table(labels).tolist() == [[0, 1101], [10 + 400 + 2000, 11 + 500 + 3000], [6 + 200 + 6000, 7 + 300 + 7000]]
    assert table(labels[1:2]).tolist() == [[2410, 3511]]


def test_vectors_are_drawn_at_a_scale_and_learnt():
    torch.manual_seed(4)
    table = LabelTable(30, 40, 50, 0.05)
    for vectors in table.parameters():
        assert vectors.std().item() == pytest.approx(0.05, rel=0.15)
    table(torch.tensor([[1, 2, 3]])).sum().backward()
    for vectors, row in zip((table.augmentation, table.role, table.style), (1, 2, 3), strict=True):
        assert vectors.grad.any(1).nonzero().flatten().tolist() == [row]


def _gan():
    torch.manual_seed(1)
    gan = GAN(GANConfig("jaki5", 12, 10, 8, roles=ROLES, styles=STYLES)).eval().requires_grad_(False)
    for parameter in gan.parameters():
        parameter.mul_(2)
    return gan


def _told(column, label=1):
    """A bar as it is of any role and style, but for one column."""
    labels = REAL.clone()
    labels[0, column] = label
    return labels


@pytest.mark.parametrize("column", range(3), ids=COLUMNS)
@pytest.mark.parametrize("room", ["start", "drive"])
def test_each_label_reaches_the_generators_start_and_drive(column, room):
    """With all other vectors at nothing, the one that is told of moves what is expected: by the start alone, the more
    the earlier; by the drive at every step."""
    gan = _gan()
    generator = gan.generator
    for table in (generator.start, generator.drive):
        for vectors in table.parameters():
            vectors.zero_()
    bars = (torch.rand(30, 12, 5) < 0.3).float()
    plain = generator.expect(bars, REAL)
    assert torch.equal(generator.expect(bars, _told(column)), plain)
    getattr(getattr(generator, room), COLUMNS[column])[1] = 1.5
    told = generator.expect(bars, _told(column))
    moved = (told - plain).abs().amax(2)
    assert moved[:, 0].min() > 1e-3
    assert torch.equal(generator.expect(bars, REAL), plain)
    assert torch.equal(generator.expect(bars, _told(column, 2)), plain)
    if room == "drive":
        assert moved.min() > 1e-5
    else:
        assert moved[:, -1].mean() < moved[:, 0].mean() / 2
    # and unrolled the same
    z = torch.randn(30, 60)
    cells, sums = generator.unroll(z, _told(column))
    decided = generator.expect(cells, _told(column)) + z.view(30, 12, 5)
    torch.testing.assert_close(decided, sums, atol=1e-4, rtol=0)
    assert not torch.equal(cells, generator(z, REAL))


@pytest.mark.parametrize("column", range(3), ids=COLUMNS)
def test_each_label_reaches_the_discriminator_and_its_projection(column):
    gan = _gan()
    discriminator = gan.discriminator
    for table in (discriminator.from_labels, discriminator.last_by_labels):
        for vectors in table.parameters():
            vectors.zero_()
    bars = (torch.rand(30, 12, 5) < 0.3).float()
    plain = discriminator(bars, REAL)
    assert torch.equal(discriminator(bars, _told(column)), plain)

    getattr(discriminator.from_labels, COLUMNS[column])[1] = 1.0
    seen = []
    discriminator.last.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    inside = discriminator(bars, _told(column))
    assert (inside - plain).abs().min() > 1e-6
    assert torch.equal(discriminator(bars, REAL), plain)

    # the projection: the vector times what the network makes of the bar is added
    direction = torch.randn(8)
    getattr(discriminator.last_by_labels, COLUMNS[column])[1] = direction
    torch.testing.assert_close(discriminator(bars, _told(column)), inside + seen[0] @ direction)
    assert torch.equal(discriminator(bars, REAL), plain)


def test_every_value_of_every_label_makes_other_bars_and_other_logits():
    gan = _gan()
    z, bars = torch.randn(200, 60), (torch.rand(200, 12, 5) < 0.3).float()
    rows = [REAL, *(_told(column, label) for column, n in enumerate((N_AUGMENTATIONS, 3, 4)) for label in range(1, n))]
    made = [gan.generator(z, labels).numpy().tobytes() for labels in rows]
    assert len(set(made)) == len(rows) == 11
    logits = np.stack([gan.discriminator(bars, labels).numpy() for labels in rows])
    apart = np.abs(logits[:, None] - logits[None]).min(2)
    np.fill_diagonal(apart, 1)
    assert apart.mean() > 1e-3
    assert len(np.unique(logits, axis=0)) == 11
