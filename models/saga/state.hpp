// The state of the model: the order service's rows, the participants' rows, and the events on their way.
#pragma once

#include <cstdint>

namespace saga {

using Byte = std::uint8_t;

// The values of the rows; each enum begins at 0, "no row yet" or unused.
enum OrderState : Byte { NO_ORDER, PENDING, CONFIRMED, CANCELED };
enum SagaState : Byte { NO_SAGA, RUNNING, COMPLETED, COMPENSATING, COMPENSATED, STUCK, BY_HAND };
enum StepState : Byte { NO_STEP, STEP_PENDING, DONE, SKIPPED, UNDOING, UNDONE, WAIVED };
enum Decision : Byte { UNDECIDED, HELD, REFUSED, CANCELED_FIRST, RESTORED };
// Events of the order service, and the participants' answers (StockReduced or CouponUsed, …).
enum Request : Byte { NO_REQUEST, ORDER_CREATED, ORDER_CANCELED, ORDER_CONFIRMED };
enum Answer : Byte { NO_ANSWER, SUCCESS, REFUSAL, REFUSED_CANCELED, GAVE_BACK, GAVE_NOTHING_BACK, EXHAUSTED };

inline const char* const ORDER_NAMES[] = {"-", "PENDING", "CONFIRMED", "CANCELED"};
inline const char* const SAGA_NAMES[] = {"-",           "RUNNING", "COMPLETED", "COMPENSATING",
                                         "COMPENSATED", "STUCK",   "BY_HAND"};
inline const char* const STEP_NAMES[] = {"-", "PENDING", "DONE", "SKIPPED", "UNDOING", "UNDONE", "WAIVED"};
inline const char* const DECISION_NAMES[] = {"no decision", "HELD", "REFUSED", "CANCELED_FIRST", "RESTORED"};
inline const char* const REQUEST_NAMES[] = {"nothing", "OrderCreated", "OrderCanceled", "OrderConfirmed"};
inline const char* const ANSWER_NAMES[2][7] = {
    {"nothing", "StockReduced", "StockReduceFailed", "StockReduceFailed(order_canceled)",
     "StockRestored(true)", "StockRestored(false)", "StockReduceFailed(retries_exhausted)"},
    {"nothing", "CouponUsed", "CouponUseFailed", "CouponUseFailed(order_canceled)", "CouponRestored(true)",
     "CouponRestored(false)", "CouponUseFailed(retries_exhausted)"}};
inline const char* const SERVICE_NAMES[] = {"product", "coupon"};

constexpr int STEPS = 2;  // stock, coupon

constexpr Byte bit(int value) { return static_cast<Byte>(1 << value); }

// Events of one key on one topic, in order. The bound of three keeps the model finite.
struct Queue {
    static constexpr int SIZE = 3;
    Byte events[SIZE];

    int length() const {
        int found = 0;
        while (found < SIZE && events[found]) ++found;
        return found;
    }
    bool empty() const { return events[0] == 0; }
    Byte last() const { return empty() ? Byte{0} : events[length() - 1]; }
    bool push(Byte event) {
        const int end = length();
        if (end == SIZE) return false;
        events[end] = event;
        return true;
    }
    Byte pop() {
        const Byte event = events[0];
        events[0] = events[1];
        events[1] = events[2];
        events[2] = 0;
        return event;
    }
};

struct Order {
    // Order service.
    Byte order, saga, steps[STEPS];
    Byte success_seen[STEPS];
    Byte flagged;  // shown to the operators as a contradiction
    // Participants: product and coupon.
    Byte decisions[STEPS];
    Byte quantity;  // what the hold row says
    Byte taken[STEPS], given_back[STEPS];
    Byte said[STEPS];  // a set of Said
    // Topics: order.events as each participant reads it, and the participants' answers.
    Queue requests[STEPS], answers[STEPS];
    Byte requests_consumed[STEPS], answers_consumed[STEPS];  // sets: what a replay can bring again
    // User service.
    Queue user_queue;
    Byte user_consumed;
    Byte purchase;  // 0 none, 1 counted, 2 canceled

    bool quiet() const {
        return requests[0].empty() && requests[1].empty() && answers[0].empty() && answers[1].empty() &&
               user_queue.empty();
    }
    bool any_step(StepState state) const { return steps[0] == state || steps[1] == state; }
    bool every_step_is(StepState state) const {
        for (const Byte step : steps)
            if (step != state && step != SKIPPED) return false;
        return true;
    }
};

enum Said : Byte { SAID_SUCCESS = 1, SAID_FAILURE = 2, SAID_GAVE_BACK = 4, SAID_GAVE_NOTHING_BACK = 8 };

struct State {
    Byte stock;
    Byte coupon_of;  // the order (from 1) that uses the coupon
    Byte sealed;
    Order orders[2];
};

}  // namespace saga
