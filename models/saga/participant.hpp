// A participant, product or coupon: the table of decision rows (product_app/domain.py, coupon_app/domain.py).
#pragma once

#include "options.hpp"
#include "state.hpp"

namespace saga {

// How the handling of one request ends, where the decision row leaves it open.
enum class Outcome { CAN, CANNOT, RETRIES_EXHAUSTED, EDITED };
constexpr Outcome OUTCOMES[] = {Outcome::CAN, Outcome::CANNOT, Outcome::RETRIES_EXHAUSTED, Outcome::EDITED};

class Participant {
public:
    explicit Participant(const Options& options) : options_(options) {}

    // Handles a request; returns false where this outcome is not possible here.
    bool handle(State& state, int order, int step, Request request, Outcome outcome) const {
        if (request == ORDER_CREATED) return on_order_created(state, order, step, outcome);
        return outcome == Outcome::CAN && on_order_canceled(state, order, step);
    }

private:
    bool on_order_created(State& state, int k, int step, Outcome outcome) const {
        Order& order = state.orders[k];
        Byte& decision = order.decisions[step];
        if (outcome == Outcome::RETRIES_EXHAUSTED) return exhaust(order, step);
        if (decision == UNDECIDED || (decision == REFUSED && options_.refused_tries_again))
            return decide(state, k, step, outcome);
        if (outcome != Outcome::CAN) return false;
        switch (decision) {
            case HELD: return say(order, step, SUCCESS);
            case REFUSED: return say(order, step, REFUSAL);
            case CANCELED_FIRST: return say(order, step, REFUSED_CANCELED);
            default:
                return say(order, step, options_.restored_repeats_first_answer ? SUCCESS : REFUSED_CANCELED);
        }
    }

    bool exhaust(Order& order, int step) const {
        if (order.decisions[step] != UNDECIDED)
            return options_.exhausted_ignores_decision && say(order, step, EXHAUSTED);
        if (!options_.exhausted_writes_no_decision) order.decisions[step] = REFUSED;
        return say(order, step, EXHAUSTED);
    }

    bool decide(State& state, int k, int step, Outcome outcome) const {
        Order& order = state.orders[k];
        if (outcome == Outcome::CANNOT) {
            if (options_.counted && is_available(state, step, 1)) return false;
            order.decisions[step] = REFUSED;
            return say(order, step, REFUSAL);
        }
        if (outcome == Outcome::EDITED && (step != 0 || !options_.edited_dead_letter)) return false;
        const Byte quantity = outcome == Outcome::EDITED ? 2 : 1;
        if (!is_available(state, step, quantity)) return false;
        if (step == 0) order.quantity = quantity;
        take(state, k, step);
        order.decisions[step] = HELD;
        return say(order, step, SUCCESS);
    }

    bool on_order_canceled(State& state, int k, int step) const {
        Order& order = state.orders[k];
        Byte& decision = order.decisions[step];
        switch (decision) {
            case UNDECIDED:
                if (!options_.no_barrier) decision = CANCELED_FIRST;
                return say(order, step, GAVE_NOTHING_BACK);
            case HELD:
                give_back(state, k, step);
                decision = RESTORED;
                return say(order, step, GAVE_BACK);
            case RESTORED:
                return say(order, step, options_.restored_again_says_false ? GAVE_NOTHING_BACK : GAVE_BACK);
            case REFUSED:
                if (options_.refused_leaves_cancel_unanswered) return true;
                return say(order, step, GAVE_NOTHING_BACK);
            default: return say(order, step, GAVE_NOTHING_BACK);
        }
    }

    bool is_available(const State& state, int step, int quantity) const {
        if (!options_.counted) return true;
        return step == 0 ? state.stock >= quantity : state.coupon_of == 0;
    }

    void take(State& state, int k, int step) const {
        Order& order = state.orders[k];
        if (order.taken[step] < 3) ++order.taken[step];
        if (!options_.counted) return;
        if (step == 0)
            state.stock = static_cast<Byte>(state.stock - order.quantity);
        else
            state.coupon_of = static_cast<Byte>(k + 1);
    }

    void give_back(State& state, int k, int step) const {
        Order& order = state.orders[k];
        if (order.given_back[step] < 3) ++order.given_back[step];
        if (!options_.counted) return;
        if (step == 0)
            state.stock = static_cast<Byte>(state.stock + (options_.restore_by_event ? 1 : order.quantity));
        else
            state.coupon_of = 0;
    }

    static bool say(Order& order, int step, Answer answer) {
        switch (answer) {
            case SUCCESS: order.said[step] |= SAID_SUCCESS; break;
            case REFUSAL:
            case EXHAUSTED: order.said[step] |= SAID_FAILURE; break;
            case GAVE_BACK: order.said[step] |= SAID_GAVE_BACK; break;
            case GAVE_NOTHING_BACK: order.said[step] |= SAID_GAVE_NOTHING_BACK; break;
            default: break;
        }
        return order.answers[step].push(answer);
    }

    const Options& options_;
};

}  // namespace saga
