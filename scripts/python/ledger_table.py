"""Prints what `scripts/bench ledger` measured, side by side, and what falls short of the goals."""

import json
import sys

# (what, at how many producers, goal, at least or at most); p99 counts at every number of producers
GOALS = [("raw", 16, 0.80, ">="), ("raw", 64, 0.95, ">="), ("postgres", 64, 8.0, ">=")]
GOALS += [("p99", producers, 1.5, "<=") for producers in (1, 16, 64, 256)]
NAMES = {"raw": "share of raw", "postgres": "times PostgreSQL", "p99": "p99 over raw's p99"}


def main(ours, peer):
    rows, ratio = {}, {}
    for row in json.load(open(ours)):
        side = rows.setdefault(row["producers"], {})
        figures = (row["events_per_second"], row["p50_us"] / 1000, row["p99_us"] / 1000, row["p999_us"] / 1000)
        cpu = f"{row['cpu_us_per_event']:.1f}"
        if row["side"] == "ledger":
            side["ours"] = (figures, cpu)
            # Medians of the ratios of each round, which hold on a machine that is not quiet too.
            ratio["raw", row["producers"]] = row["share_of_raw"]
            ratio["p99", row["producers"]] = row["p99_over_raw"]
        elif row["is_limit"]:
            side["raw"] = (figures, cpu)
    for line in open(peer):
        clients, *figures = line.split()
        rows.setdefault(int(clients), {})["postgres"] = (tuple(map(float, figures)), "")

    print(f"   {'':10} {'producers':>9} {'events/s':>10} {'p50 ms':>9} {'p99 ms':>9} {'p99.9 ms':>9} {'cpu us':>7}")
    for producers, sides in sorted(rows.items()):
        for name in ("ours", "raw", "postgres"):
            (rate, *latencies), cpu = sides[name]
            print(f"   {name:10} {producers:9d} {rate:10.0f}" + "".join(f" {ms:9.2f}" for ms in latencies) + f" {cpu:>7}")
    for producers, sides in sorted(rows.items()):
        ratio["postgres", producers] = sides["ours"][0][0] / sides["postgres"][0][0]
        shown = tuple(ratio[what, producers] for what in ("raw", "postgres", "p99"))
        print("   at {:3d}: {:7.1%} of raw, {:6.2f} times PostgreSQL, p99 {:5.2f} times raw".format(producers, *shown))
    for what, producers, goal, better in GOALS:
        got = ratio[what, producers]
        met = got >= goal if better == ">=" else got <= goal
        print(f"   {'met   ' if met else 'MISSED'} {NAMES[what]} at {producers} producers: {got:.2f}, goal {better} {goal:g}")


main(*sys.argv[1:])
