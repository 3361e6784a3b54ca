// What must hold in every reachable state, and what no step may change.
#pragma once

#include <cstring>

#include "options.hpp"
#include "state.hpp"

namespace saga {

class Invariants {
public:
    explicit Invariants(const Options& options) : options_(options) {}

    const char* broken(const State& state) const {
        for (int k = 0; k < options_.orders; ++k) {
            const Order& order = state.orders[k];
            if (options_.foreign) {
                if (const char* text = coordinator_is_inconsistent(order)) return text;
                continue;
            }
            for (int step = 0; step < STEPS; ++step)
                if (const char* text = broken_by_step(order, step)) return text;
            if (order.flagged) return "honest: a contradiction was flagged though every party is honest";
            if (const char* text = coordinator_is_inconsistent(order)) return text;
            if (const char* text = broken_by_user(order)) return text;
        }
        return options_.counted && !options_.foreign ? broken_by_counts(state) : nullptr;
    }

    const char* broken_by_step_between(const State& before, const State& after) const {
        for (int k = 0; k < options_.orders && !options_.late_success_reopens; ++k) {
            const Order &from = before.orders[k], &to = after.orders[k];
            if (from.order == CANCELED && to.order != CANCELED) return "P6: CANCELED was left";
            if (from.saga == COMPENSATED && to.saga != COMPENSATED) return "P6: COMPENSATED was left";
        }
        if (before.sealed && !only_history_differs(before, after))
            return "P10: a replay changed something after everything had ended";
        return nullptr;
    }

private:
    static const char* broken_by_step(const Order& order, int step) {
        const Byte said = order.said[step];
        if (order.taken[step] > 1) return "P3: taken twice for one order";
        if (order.given_back[step] > order.taken[step]) return "P3: more was given back than was taken";
        if (order.saga == COMPENSATED && order.decisions[step] == HELD)
            return "P6: COMPENSATED while something is still held";
        if (order.order == CONFIRMED && order.steps[step] != SKIPPED && order.decisions[step] != HELD)
            return "P7: CONFIRMED while a step holds nothing";
        if ((said & SAID_SUCCESS) && (said & SAID_FAILURE))
            return "P3: a participant said both success and failure";
        if ((said & SAID_GAVE_BACK) && (said & SAID_GAVE_NOTHING_BACK))
            return "P3: a participant said restored both true and false";
        return nullptr;
    }

    static const char* coordinator_is_inconsistent(const Order& order) {
        const bool undoing = order.any_step(UNDOING), pending = order.any_step(STEP_PENDING);
        const bool waived = order.any_step(WAIVED), done = order.any_step(DONE);
        switch (order.saga) {
            case RUNNING:
                return order.order == PENDING && pending && !undoing && !waived
                           ? nullptr
                           : "table: RUNNING is inconsistent";
            case COMPLETED:
                return order.order == CONFIRMED && !undoing && !pending && !waived
                           ? nullptr
                           : "table: COMPLETED is inconsistent";
            case COMPENSATING:
            case STUCK:
                return order.order == CANCELED && undoing && !pending && !done && !waived
                           ? nullptr
                           : "table: COMPENSATING is inconsistent";
            case COMPENSATED:
                return order.order == CANCELED && !undoing && !pending && !done && !waived
                           ? nullptr
                           : "table: COMPENSATED is inconsistent";
            default: return nullptr;
        }
    }

    const char* broken_by_user(const Order& order) const {
        if (!options_.user || !order.quiet()) return nullptr;
        if (order.order == CONFIRMED && order.purchase != 1)
            return "purchases: a confirmed order is not counted";
        if (order.order == CANCELED && order.purchase == 1) return "purchases: a canceled order is counted";
        return nullptr;
    }

    const char* broken_by_counts(const State& state) const {
        int held = 0;
        for (int k = 0; k < options_.orders; ++k) {
            const Order& order = state.orders[k];
            if (order.decisions[0] == HELD) held += order.quantity;
            if ((state.coupon_of == k + 1) != (order.decisions[1] == HELD))
                return "P7: coupon and decisions disagree";
        }
        return state.stock + held == options_.stock ? nullptr
                                                    : "P7: stock now + stock held != stock received";
    }

    bool only_history_differs(const State& before, const State& after) const {
        if (before.stock != after.stock || before.coupon_of != after.coupon_of) return false;
        for (int k = 0; k < options_.orders; ++k)
            if (!same_rows(before.orders[k], after.orders[k])) return false;
        return true;
    }

    // The same rows, and nothing new published by the order service. (An answer may be repeated.)
    static bool same_rows(const Order& before, const Order& after) {
        for (int step = 0; step < STEPS; ++step) {
            if (before.steps[step] != after.steps[step] || before.decisions[step] != after.decisions[step])
                return false;
            if (before.taken[step] != after.taken[step] || before.given_back[step] != after.given_back[step])
                return false;
            if (after.requests[step].length() > before.requests[step].length()) return false;
        }
        return before.order == after.order && before.saga == after.saga &&
               before.purchase == after.purchase &&
               std::memcmp(&before.user_queue, &after.user_queue, sizeof before.user_queue) == 0;
    }

    const Options& options_;
};

}  // namespace saga
