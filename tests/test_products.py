"""Matrix products and curves are the same however they are computed."""

import pytest

torch = pytest.importorskip("torch")

from rhythmgan.models import products  # noqa: E402
from rhythmgan.models.products import linear, tanh  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

ROWS = [0, 1, 31, 32, 33, 200]


def _given(n, per_row=False, dtype=torch.float32):
    random = torch.Generator().manual_seed(n)
    shapes = (n, 11), (7, 11), (n, 7) if per_row else (7,)
    return [torch.randn(shape, generator=random, dtype=dtype) for shape in shapes]


@pytest.mark.parametrize("per_row", [False, True], ids=["a bias", "a bias a row"])
@pytest.mark.parametrize("n", ROWS)
def test_in_single_precision_it_is_the_product_but_for_rounding(n, per_row):
    x, weight, bias = _given(n, per_row)
    expected = x.double() @ weight.double().T + bias.double()
    with torch.no_grad():
        found = linear(x, weight, bias)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("n", ROWS)
def test_double_precision_is_kept(n):
    x, weight, bias = _given(n, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(linear(x, weight, bias), x @ weight.T + bias, atol=1e-13, rtol=0)


@pytest.mark.parametrize("n", [1, 200])
def test_a_product_by_hand(n):
    x = torch.tensor([[1.0, 2.0]]).expand(n, -1)
    with torch.no_grad():
        found = linear(x, torch.tensor([[3.0, 5.0], [-1.0, 0.5], [0.0, 4.0]]), torch.tensor([0.25, 10.0, -1.0]))
    assert found.tolist() == [[13.25, 10.0, 7.0]] * n


@pytest.mark.parametrize("n", [1, 200])
def test_gradients_pass_wherever_they_are_asked_for(n):
    given = [each.requires_grad_() for each in _given(n)]
    linear(*given).square().sum().backward()
    found = [each.grad.clone() for each in given]
    again = [each.detach().double().requires_grad_() for each in given]
    (again[0] @ again[1].T + again[2]).square().sum().backward()
    for one, other in zip(found, again, strict=True):
        torch.testing.assert_close(one.double(), other.grad, atol=1e-2, rtol=1e-4)


def test_it_works_without_onednn(monkeypatch):
    x, weight, bias = _given(200)
    with torch.no_grad():
        with_it = linear(x, weight, bias)
        monkeypatch.setattr(products, "_HAS_ONEDNN", False)
        torch.testing.assert_close(linear(x, weight, bias), with_it, atol=1e-5, rtol=0)


def test_rows_that_are_not_side_by_side():
    """Every other row, a transposed matrix, and one row for all."""
    _, weight, bias = _given(0)
    random = torch.Generator().manual_seed(5)
    every_other = torch.randn(200, 11, generator=random)[::2]
    turned = torch.randn(11, 100, generator=random).T
    with torch.no_grad():
        for x in (every_other, turned, every_other[:1].expand(100, -1)):
            torch.testing.assert_close(linear(x, weight, bias), x @ weight.T + bias, atol=1e-5, rtol=0)


def test_tanh_is_torchs_with_its_gradient():
    x = torch.tensor([-400.0, -3, -0.5, -1e-9, 0, 0.25, 2, 30], dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(tanh(x), torch.tanh(x), atol=1e-15, rtol=0)
    found, expected = (torch.autograd.grad(curve(x).sum(), x)[0] for curve in (tanh, torch.tanh))
    torch.testing.assert_close(found, expected, atol=1e-15, rtol=0)
