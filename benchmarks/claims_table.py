"""Print the numbers of `docs/results/claims.md` as a markdown table.

`python benchmarks/claims_table.py` takes about fifteen seconds on one core; the fit of a
coordinate graph is the only simulation.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from analysis import claims
from analysis import topk_bounds as topk

N, K = 6, 2  # the paper's Top-K Selection
Row = tuple[str, str, str]  # section of docs/results/claims.md, quantity, value


def table_text(table: claims.Array) -> str:
    """A 2 x 2 table as (a, b; c, d)."""
    return "(" + "; ".join(", ".join(f"{x:g}" for x in row) for row in table) + ")"


def proofs() -> Iterator[Row]:
    """Sections 9.1 to 9.5: the witnesses of theorems 3.1, 3.2, B.1, 4.1."""
    for n in (2, 3, 4):
        independent, name = claims.ring_returns_independent(n), "swap" if n == 2 else f"ring N={n}"
        quantity = f"{name} game, best of {len(independent)} independent policies"
        yield "9.1", quantity, f"{independent.max():g}"
    joint = claims.swap_returns_joint()
    yield "9.1", f"swap game, best of {len(joint)} joint policies", f"{joint.max():g}"

    for name, unaries, pair in [
        ("first table, as printed", claims.FIRST_UNARIES, claims.FIRST_PAIR),
        ("first table, corrected pair term", claims.FIRST_UNARIES, claims.FIRST_PAIR_CORRECTED),
        ("second table", claims.SECOND_UNARIES, claims.SECOND_PAIR),
        ("second table, split differently", claims.OTHER_UNARIES, claims.OTHER_PAIR),
    ]:
        greedy = tuple(int(unary.argmax()) for unary in unaries)
        yield "9.2", name, f"{table_text(claims.joint_table(unaries, pair))}, greedy {greedy}"

    for n in (3, 4, 5):
        residual = claims.pairwise_residual(claims.parity(n))
        delta = claims.third_order_interaction(claims.parity(n))
        rmse, worst = np.sqrt(np.mean(residual**2)), np.abs(residual).max()
        yield "9.3", f"parity N={n}: Delta, RMSE, max error", f"{delta:+g}, {rmse:.4f}, {worst:.4f}"

    for eps in (1e-9, 0.01):
        for name, divergence in [
            ("independent", claims.swap_divergence_independent),
            ("product given (o_1, o_2)", claims.swap_divergence_joint_observation),
        ]:
            yield "9.4", f"swap game, least KL, {name}, eps={eps:g}", f"{divergence(eps):.4f}"

    for n in (2, 3, 6):
        best = claims.exactly_k_probability(np.full(n, 1 / n), 1)
        yield "9.5", f"exactly one of {n} acts, best identical play", f"{best:.4f}"


def bounds() -> Iterator[Row]:
    """Section 9.6: what independent and pairwise methods can do in Top-K Selection."""
    identical = claims.exactly_k_probability(np.full(5, 2 / 5), 2)
    roles_without_signals = claims.exactly_k_probability(np.array([1.0, 1, 0, 0, 0]), 2)
    yield "9.6", "exactly 2 of 5 act, identical play p=2/5", f"{identical:.4f}"
    yield "9.6", "exactly 2 of 5 act, fixed roles", f"{roles_without_signals:g}"

    bound = claims.exactly_k_probability(np.full(N, K / N), K)
    yield "9.6", "Top-K, common threshold: success", f"{bound:.5f}"
    yield "9.6", "Top-K, common threshold: return", f"{2 * bound - 1:.4f}"
    for n_bins in (30, 60):
        starts = topk.ascent_starts(60, N, n_bins, seed=0)
        ends = [topk.coordinate_ascent(lambda d: topk.top_k_success(d, K), x)[0] for x in starts]
        name = f"Top-K, coordinate ascent, {n_bins} bins, {len(starts)} starts: least, greatest"
        yield "9.6", name, f"{min(ends):.5f}, {max(ends):.5f}"
    roles = np.zeros((N, 30))
    roles[:K] = 1
    yield "9.6", "Top-K, fixed roles", f"{float(topk.top_k_success(roles, K)):.4f}"

    threshold = topk.vdn_fit_threshold(N, K)
    success = claims.exactly_k_probability(np.full(N, 1 - threshold), K)
    yield (
        "9.6",
        "Top-K, population VDN (and IQL) fit: threshold, success",
        (f"{threshold:.4f}, {success:.4f}"),
    )
    rate, error = topk.greedy_success(topk.population_pair_fit, N, K, 2_000_000, seed=0)
    yield (
        "9.6",
        "Top-K, population DCG fit, exact argmax: success",
        f"{rate:.4f} (s.e. {error:.4f})",
    )
    rate, _ = topk.greedy_success(topk.hand_set_factors, N, K, 20_000, seed=0)
    yield "9.6", "Top-K, hand-set DCG factors, exact argmax: success", f"{rate:g}"


def penalty() -> Iterator[Row]:
    """Section 9.7: the anti-coordination game."""
    yield "9.7", "greatest expected return", f"{topk.penalty_optimum():.4f}"
    for mode in ("per_pair", "once"):
        for name, p in [("best", topk.best_threshold_for_return(mode)), ("p=1/3", 1 / 3)]:
            success = claims.exactly_k_probability(np.full(N, p), K)
            yield (
                "9.7",
                f"{mode}, {name} common threshold: p, return, success",
                (f"{p:.3f}, {topk.threshold_return(p, mode):.4f}, {success:.4f}"),
            )
    starts = topk.ascent_starts(30, N, 60, seed=0)
    ends = [topk.coordinate_ascent(lambda d: topk.penalised_return(d, K), x)[0] for x in starts]
    name = f"per_pair, coordinate ascent on the return, 60 bins, {len(starts)} starts"
    yield "9.7", f"{name}: least, greatest", f"{min(ends):.4f}, {max(ends):.4f}"


def divergences() -> Iterator[Row]:
    """Section 9.9: the constant of Theorem C.1."""
    for n in (2, 3, 4, 5, 6):
        yield (
            "9.9",
            f"uniform one-hot play, N={n}: least KL, log N, 1 - 1/N",
            (f"{claims.one_hot_least_divergence(n):.4f}, {np.log(n):.4f}, {1 - 1 / n:.4f}"),
        )


def main() -> None:
    """Print the table."""
    print("| section | quantity | value |\n|---|---|---|")
    for rows in (proofs(), bounds(), penalty(), divergences()):
        for row in rows:
            print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
