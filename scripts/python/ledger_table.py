"""Prints what `scripts/bench ledger` measured, side by side, and what falls short of the goals."""

import json
import sys

# (what, at how many producers, goal, at least or at most)
GOALS = [("raw", 16, 0.80, ">="), ("raw", 64, 0.95, ">="), ("postgres", 64, 8.0, ">="), ("p99", 64, 1.5, "<=")]


def main(ours, peer):
    rows = {}
    for row in json.load(open(ours)):
        side = rows.setdefault(row["producers"], {})
        name = "ours" if row["side"] == "ledger" else "raw"
        figures = (row["events_per_second"], row["p50_us"] / 1000, row["p99_us"] / 1000, row["p999_us"] / 1000)
        if name not in side or figures[0] > side[name][0]:
            side[name] = figures
    for line in open(peer):
        clients, *figures = line.split()
        rows.setdefault(int(clients), {})["postgres"] = tuple(map(float, figures))

    print(f"   {'':10} {'producers':>9} {'events/s':>10} {'p50 ms':>9} {'p99 ms':>9} {'p99.9 ms':>9}")
    for producers, sides in sorted(rows.items()):
        for name in ("ours", "raw", "postgres"):
            rate, *latencies = sides[name]
            print(f"   {name:10} {producers:9d} {rate:10.0f}" + "".join(f" {ms:9.2f}" for ms in latencies))
    ratio = {}
    for producers, sides in sorted(rows.items()):
        mine, raw, postgres = sides["ours"], sides["raw"], sides["postgres"]
        ratio["raw", producers] = mine[0] / raw[0]
        ratio["postgres", producers] = mine[0] / postgres[0]
        ratio["p99", producers] = mine[2] / raw[2]
        print(f"   at {producers:3d}: {mine[0] / raw[0]:7.1%} of raw, {mine[0] / postgres[0]:6.2f} times PostgreSQL, p99 {mine[2] / raw[2]:5.2f} times raw")
    for what, producers, goal, better in GOALS:
        got = ratio[what, producers]
        met = got >= goal if better == ">=" else got <= goal
        name = {"raw": "share of raw", "postgres": "times PostgreSQL", "p99": "p99 over raw's p99"}[what]
        print(f"   {'met   ' if met else 'MISSED'} {name} at {producers} producers: {got:.2f}, goal {better} {goal:g}")


main(*sys.argv[1:])
