// Model of the saga: order service, participants and user service, with replays of anything in any order.
//
// There is no inbox: any consumed event may be handled again at any time, in any order. That contains
// redelivery, duplicates, an expired inbox, replay, and the late retry of a skipped dead letter. See
// README.md.
#include <cstring>

#include "coordinator.hpp"
#include "invariants.hpp"
#include "participant.hpp"

namespace saga {

using search::Kind;
using search::text;

class Saga {
public:
    using State = ::saga::State;
    using Steps = search::Steps<State>;

    explicit Saga(const Options& options)
        : options_(options), participant_(options_), coordinator_(options_), invariants_(options_) {}

    // With two orders the coupon is wanted by both, or by the first alone.
    std::vector<State> initial() const {
        std::vector<State> states{begin(true)};
        if (options_.orders == 2 && options_.coupon) states.push_back(begin(false));
        return states;
    }

    const char* violation(const State& state) const { return invariants_.broken(state); }

    bool good_end(const State& state) const {
        for (int k = 0; k < options_.orders; ++k) {
            const Order& order = state.orders[k];
            if (!order.quiet() || (order.saga != COMPLETED && order.saga != COMPENSATED)) return false;
        }
        return true;
    }

    void successors(const State& state, Steps& steps) const {
        for (int k = 0; k < options_.orders; ++k) {
            for (int step = 0; step < STEPS; ++step) handle_and_replay(state, k, step, steps);
            if (options_.user) count_purchases(state, k, steps);
            if (!state.sealed) act(state, k, steps);
        }
        if (options_.sealed && !state.sealed && good_end(state)) {
            State next = state;
            next.sealed = 1;
            steps.add(next, Kind::CHANCE, [] { return "all is quiet; from here on there are only replays"; });
        }
    }

    std::string describe(const State& state) const {
        std::string all;
        for (int k = 0; k < options_.orders; ++k) {
            const Order& order = state.orders[k];
            all += text("order %s, saga %s, steps %s and %s, decisions %s and %s; ", ORDER_NAMES[order.order],
                        SAGA_NAMES[order.saga], STEP_NAMES[order.steps[0]], STEP_NAMES[order.steps[1]],
                        DECISION_NAMES[order.decisions[0]], DECISION_NAMES[order.decisions[1]]);
        }
        return all + text("stock %d", state.stock);
    }

private:
    State begin(bool coupon_for_all) const {
        State state{};
        state.stock = static_cast<Byte>(options_.stock);
        for (int k = 0; k < options_.orders; ++k) {
            Order& order = state.orders[k];
            order.order = PENDING;
            order.saga = RUNNING;
            order.quantity = 1;
            order.steps[0] = STEP_PENDING;
            order.steps[1] = options_.coupon && (k == 0 || coupon_for_all) ? STEP_PENDING : SKIPPED;
            Coordinator::publish_created(order);
        }
        return state;
    }

    template <class Label>
    void add(const State& before, const State& after, Kind kind, Steps& steps, Label&& label) const {
        steps.add(after, kind, label, invariants_.broken_by_step_between(before, after));
    }

    std::string prefix(int k) const {
        return options_.orders > 1 ? text("order %d: ", k + 1) : std::string();
    }

    void handle_and_replay(const State& state, int k, int step, Steps& steps) const {
        const Order& order = state.orders[k];
        if (!order.requests[step].empty()) handle_request(state, k, step, steps);
        if (options_.replay_participants && order.answers[step].length() <= 1)
            replay_requests(state, k, step, steps);
        if (!order.answers[step].empty()) handle_answer(state, k, step, steps);
        if (options_.replay_order) replay_answers(state, k, step, steps);
        if (options_.foreign && order.steps[step]) foreign_answers(state, k, step, steps);
    }

    void handle_request(const State& state, int k, int step, Steps& steps) const {
        State taken = state;
        const auto request = static_cast<Request>(taken.orders[k].requests[step].pop());
        taken.orders[k].requests_consumed[step] |= bit(request);
        for (const Outcome outcome : OUTCOMES) {
            const bool honest = outcome == Outcome::CAN || outcome == Outcome::CANNOT;
            try_request(state, taken, {k, step, request, outcome, honest ? Kind::FAIR : Kind::CHANCE, ""},
                        steps);
        }
        if (options_.skip_dead_letters && !state.sealed)
            add(state, taken, Kind::CHANCE, steps, [&] {
                return text("%s%s: an operator skips %s", prefix(k).c_str(), SERVICE_NAMES[step],
                            REQUEST_NAMES[request]);
            });
    }

    void replay_requests(const State& state, int k, int step, Steps& steps) const {
        for (const Request request : {ORDER_CREATED, ORDER_CANCELED}) {
            if (!(state.orders[k].requests_consumed[step] & bit(request))) continue;
            for (const Outcome outcome : {Outcome::CAN, Outcome::CANNOT, Outcome::RETRIES_EXHAUSTED})
                try_request(state, state, {k, step, request, outcome, Kind::CHANCE, " again"}, steps);
        }
    }

    struct Handling {
        int k, step;
        Request request;
        Outcome outcome;
        Kind kind;
        const char* again;
    };

    void try_request(const State& before, State next, const Handling& handling, Steps& steps) const {
        const auto [k, step, request, outcome, kind, again] = handling;
        if (outcome == Outcome::RETRIES_EXHAUSTED && !options_.exhausted) return;
        if (!participant_.handle(next, k, step, request, outcome)) return;
        add(before, next, kind, steps,
            [&, step = step, request = request, outcome = outcome, k = k, again = again] {
                const Order &from = before.orders[k], &to = next.orders[k];
                const bool answers = to.answers[step].length() > from.answers[step].length();
                const char* how = outcome == Outcome::RETRIES_EXHAUSTED ? " (retries exhausted)"
                                  : outcome == Outcome::EDITED ? " (edited by an operator: quantity 2)"
                                                               : "";
                return text("%s%s handles %s%s%s: %s -> %s, publishes %s", prefix(k).c_str(),
                            SERVICE_NAMES[step], REQUEST_NAMES[request], again, how,
                            DECISION_NAMES[from.decisions[step]], DECISION_NAMES[to.decisions[step]],
                            ANSWER_NAMES[step][answers ? to.answers[step].last() : 0]);
            });
    }

    void handle_answer(const State& state, int k, int step, Steps& steps) const {
        State taken = state;
        const auto answer = static_cast<Answer>(taken.orders[k].answers[step].pop());
        taken.orders[k].answers_consumed[step] |= bit(answer);
        State next = taken;
        if (coordinator_.handle(next.orders[k], step, answer))
            add(state, next, Kind::FAIR, steps, [&] { return answered(state, next, k, step, answer, ""); });
        if (options_.skip_dead_letters && !state.sealed)
            add(state, taken, Kind::CHANCE, steps, [&] {
                return text("%sorder: an operator skips %s", prefix(k).c_str(), ANSWER_NAMES[step][answer]);
            });
    }

    void replay_answers(const State& state, int k, int step, Steps& steps) const {
        for (int answer = SUCCESS; answer <= EXHAUSTED; ++answer) {
            if (!(state.orders[k].answers_consumed[step] & bit(answer))) continue;
            State next = state;
            const bool handled = coordinator_.handle(next.orders[k], step, static_cast<Answer>(answer));
            if (handled && std::memcmp(&next, &state, sizeof state) != 0)
                add(state, next, Kind::CHANCE, steps,
                    [&] { return answered(state, next, k, step, answer, " again"); });
        }
    }

    void foreign_answers(const State& state, int k, int step, Steps& steps) const {
        for (int answer = SUCCESS; answer <= GAVE_NOTHING_BACK; ++answer) {
            State next = state;
            const bool handled = coordinator_.handle(next.orders[k], step, static_cast<Answer>(answer));
            next.orders[k].flagged = 0;
            if (handled)
                add(state, next, Kind::CHANCE, steps,
                    [&] { return answered(state, next, k, step, answer, ", foreign"); });
        }
    }

    std::string answered(const State& before, const State& after, int k, int step, int answer,
                         const char* how) const {
        const Order &from = before.orders[k], &to = after.orders[k];
        return text("%sorder handles %s%s: step %s -> %s, saga %s -> %s, order %s", prefix(k).c_str(),
                    ANSWER_NAMES[step][answer], how, STEP_NAMES[from.steps[step]], STEP_NAMES[to.steps[step]],
                    SAGA_NAMES[from.saga], SAGA_NAMES[to.saga], ORDER_NAMES[to.order]);
    }

    void count_purchases(const State& state, int k, Steps& steps) const {
        if (!state.orders[k].user_queue.empty()) {
            State next = state;
            const auto event = static_cast<Request>(next.orders[k].user_queue.pop());
            next.orders[k].user_consumed |= bit(event);
            count_purchase(next.orders[k], event);
            add(state, next, Kind::FAIR, steps,
                [&] { return text("%suser handles %s", prefix(k).c_str(), REQUEST_NAMES[event]); });
        }
        for (const Request event : {ORDER_CANCELED, ORDER_CONFIRMED}) {
            if (!options_.replay_participants || !(state.orders[k].user_consumed & bit(event))) continue;
            State next = state;
            count_purchase(next.orders[k], event);
            if (std::memcmp(&next, &state, sizeof state) != 0)
                add(state, next, Kind::CHANCE, steps,
                    [&] { return text("%suser handles %s again", prefix(k).c_str(), REQUEST_NAMES[event]); });
        }
    }

    void count_purchase(Order& order, Request event) const {
        if (event == ORDER_CANCELED) order.purchase = 2;
        if (event == ORDER_CONFIRMED && (order.purchase == 0 || options_.no_tombstone)) order.purchase = 1;
    }

    // People and timers of the order service.
    void act(const State& state, int k, Steps& steps) const {
        const Order& order = state.orders[k];
        const bool live = order.order == PENDING || order.order == CONFIRMED;
        if (live && options_.cancel) cancel(state, k, steps, Kind::CHANCE, "cancel by customer or operator");
        if (order.saga == RUNNING && !options_.no_deadline)
            cancel(state, k, steps, Kind::FAIR, "the deadline has passed: cancel");
        if (order.saga == COMPENSATING) {
            State next = state;
            next.orders[k].saga = STUCK;
            add(state, next, Kind::CHANCE, steps,
                [&] { return prefix(k) + "the budget of the undo requests is spent: STUCK"; });
        }
        if (undo_is_resent(order)) resend_undo(state, k, steps);
        if (request_is_resent(order)) resend_request(state, k, steps);
        if (options_.resolve_by_hand && order.saga == STUCK) {
            State next = state;
            coordinator_.resolve_by_hand(next, k);
            add(state, next, Kind::CHANCE, steps, [&] { return prefix(k) + "an operator resolves by hand"; });
        }
    }

    void cancel(const State& state, int k, Steps& steps, Kind kind, const char* why) const {
        State next = state;
        if (coordinator_.cancel(next.orders[k]))
            add(state, next, kind, steps, [&] { return prefix(k) + why; });
    }

    bool undo_is_resent(const Order& order) const {
        if (options_.undo_never_resent || !order.requests[0].empty() || !order.requests[1].empty())
            return false;
        return order.saga == COMPENSATING || (order.saga == STUCK && !options_.undo_not_resent_when_stuck) ||
               (order.saga == BY_HAND && !options_.undo_not_resent_by_hand);
    }

    void resend_undo(const State& state, int k, Steps& steps) const {
        State next = state;
        if (coordinator_.publish_canceled(next.orders[k]))
            add(state, next, Kind::FAIR, steps,
                [&] { return prefix(k) + "OrderCanceled is published again, with a new id"; });
    }

    bool request_is_resent(const Order& order) const {
        if (!options_.resend_request || (order.saga != RUNNING && !options_.request_resent_in_any_state))
            return false;
        for (int step = 0; step < STEPS; ++step)
            if (order.requests[step].length() > 1 || order.answers[step].length() > 1) return false;
        return true;
    }

    void resend_request(const State& state, int k, Steps& steps) const {
        State next = state;
        if (Coordinator::publish_created(next.orders[k]))
            add(state, next, Kind::CHANCE, steps,
                [&] { return prefix(k) + "OrderCreated is published again, with a new id"; });
    }

    const Options options_;
    const Participant participant_;
    const Coordinator coordinator_;
    const Invariants invariants_;
};

}  // namespace saga

int main(int count, char** arguments) {
    saga::Options options;
    search::CommandLine line;
    saga::add_bounds(line, options);
    saga::add_rules(line, options);
    return search::run<saga::Saga>(line, options, count, arguments);
}
