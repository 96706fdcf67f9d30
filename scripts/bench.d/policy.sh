# scripts/bench policy: one decision, cold (facts never seen before, entities built, every group of fields asked) and warm (the same
# facts again), against Cedar's own is_authorized on entities that stand ready: nothing around it can be faster than that.

bench_start
run_example wardbook-policy policy_bench "$@"
