// The order service under the lock of the order row: the table of steps and answers (order_app/domain).
#pragma once

#include "options.hpp"
#include "state.hpp"

namespace saga {

class Coordinator {
public:
    explicit Coordinator(const Options& options) : options_(options) {}

    // Handles an answer; returns false where a queue of the model is full.
    bool handle(Order& order, int step, Answer answer) const {
        switch (answer) {
            case SUCCESS: return on_success(order, step);
            case GAVE_BACK:
            case GAVE_NOTHING_BACK: return on_restored(order, step, answer);
            default: return on_failure(order, step);
        }
    }

    // The order is canceled, every step is to be undone, and OrderCanceled is published once.
    bool cancel(Order& order) const {
        order.order = CANCELED;
        order.saga = COMPENSATING;
        for (Byte& step : order.steps)
            if (step != SKIPPED) step = UNDOING;
        return publish_canceled(order);
    }

    bool publish_canceled(Order& order) const {
        for (int step = 0; step < STEPS; ++step)
            if (order.steps[step] != SKIPPED && !order.requests[step].push(ORDER_CANCELED)) return false;
        if (options_.user) order.user_queue.push(ORDER_CANCELED);
        return true;
    }

    // Publishes OrderCreated again; false when no step takes part.
    static bool publish_created(Order& order) {
        bool any = false;
        for (int step = 0; step < STEPS; ++step)
            if (order.steps[step] != SKIPPED) {
                order.requests[step].push(ORDER_CREATED);
                any = true;
            }
        return any;
    }

    void resolve_by_hand(State& state, int k) const {
        Order& order = state.orders[k];
        const bool holds = order.steps[0] == UNDOING && order.decisions[0] == HELD;
        for (Byte& step : order.steps)
            if (step == UNDOING) step = options_.by_hand_is_compensated ? UNDONE : WAIVED;
        order.saga = options_.by_hand_is_compensated ? COMPENSATED : BY_HAND;
        if (options_.by_hand_adjusts_stock && holds) ++state.stock;
    }

private:
    bool on_success(Order& order, int step) const {
        Byte& state = order.steps[step];
        order.success_seen[step] = 1;
        if (state == STEP_PENDING) {
            state = DONE;
            if (order.every_step_is(DONE)) confirm(order);
            return true;
        }
        if (options_.late_success_reopens && (state == UNDONE || state == WAIVED || state == UNDOING)) {
            if (state != UNDOING) order.saga = COMPENSATING;
            state = UNDOING;
            return publish_canceled(order);
        }
        if (state == SKIPPED) order.flagged = 1;
        return true;
    }

    void confirm(Order& order) const {
        order.saga = COMPLETED;
        order.order = CONFIRMED;
        if (options_.user) order.user_queue.push(ORDER_CONFIRMED);
    }

    bool on_failure(Order& order, int step) const {
        const Byte state = order.steps[step];
        if (state == STEP_PENDING) return cancel(order);
        if (state == DONE || state == SKIPPED) order.flagged = 1;
        return state == DONE && options_.contradiction_cancels ? cancel(order) : true;
    }

    bool on_restored(Order& order, int step, Answer answer) const {
        Byte& state = order.steps[step];
        if (state == UNDOING || state == WAIVED) {
            if (options_.stuck_ignores_answers && (order.saga == STUCK || order.saga == BY_HAND)) return true;
            if (answer == GAVE_NOTHING_BACK && order.success_seen[step]) order.flagged = 1;
            state = UNDONE;
            if (order.every_step_is(UNDONE)) order.saga = COMPENSATED;
            return true;
        }
        if (state != UNDONE) order.flagged = 1;
        const bool live = state == STEP_PENDING || state == DONE;
        return live && options_.contradiction_cancels ? cancel(order) : true;
    }

    const Options& options_;
};

}  // namespace saga
