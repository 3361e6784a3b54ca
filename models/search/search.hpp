// Breadth-first search over every reachable state of a model; the first violation found has a shortest trace.
//
// A model gives:  State (bytes only, compared as such), initial() -> vector<State>, successors(state, steps),
// violation(state) -> text or nullptr, good_end(state), describe(state) -> text.
//
// "Ends" means: from every reachable state a good end can be reached by fair steps alone. In a finite graph
// strong fairness turns this into "a good end will be reached".
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "states.hpp"

namespace search {

// FAIR: a step that the system takes in the end. CHANCE: a fault, or what a person may or may not do.
enum class Kind { FAIR, CHANCE };

template <class State>
struct Step {
    State next;
    Kind kind;
    const char* violation;
    std::string label;
};

// Where a model puts the steps that are possible in a state. Labels are built only when a trace is printed.
template <class State>
class Steps {
public:
    explicit Steps(bool with_labels) : with_labels_(with_labels) {}

    template <class Label>
    void add(const State& next, Kind kind, Label&& label, const char* violation = nullptr) {
        steps_.push_back({next, kind, violation, with_labels_ ? std::string(label()) : std::string()});
    }
    void clear() { steps_.clear(); }
    const std::vector<Step<State>>& all() const { return steps_; }

private:
    bool with_labels_;
    std::vector<Step<State>> steps_;
};

struct Limits {
    std::uint64_t states = 60'000'000;
    bool must_end = true;  // check that every state leads to a good end
    std::string only;      // look for violations that begin so, and pass over others
};

struct Verdict {
    enum class Kind { HOLDS, FAILS, INCOMPLETE } kind = Kind::HOLDS;
    std::string reason;
    std::vector<std::string> trace;
    std::uint64_t states = 0, transitions = 0;
};

template <class Model>
class Search {
    using State = typename Model::State;
    static_assert(std::has_unique_object_representations_v<State>, "states are compared byte by byte");

public:
    Search(const Model& model, Limits limits) : model_(model), limits_(limits) {}

    Verdict run() {
        for (const State& state : model_.initial()) visit(state, NO_PARENT);
        Steps<State> steps(false);
        for (std::uint32_t at = 0; at < states_.size(); ++at) {
            if (states_.size() > limits_.states)
                return finish(Verdict::Kind::INCOMPLETE, "the bound of states is hit");
            if (!expand(at, steps)) return finish(Verdict::Kind::FAILS, reason_);
        }
        if (limits_.must_end) find_state_without_end();
        return finish(reason_.empty() ? Verdict::Kind::HOLDS : Verdict::Kind::FAILS, reason_);
    }

private:
    static constexpr std::uint32_t NO_PARENT = UINT32_MAX;

    std::uint32_t visit(const State& state, std::uint32_t parent) {
        const auto [index, is_new] = states_.add(state);
        if (is_new) parents_.push_back(parent);
        return index;
    }

    // Returns false, with the reason and the trace, when the state or a step from it breaks a promise.
    bool expand(std::uint32_t at, Steps<State>& steps) {
        const State state = states_[at];
        if (const char* broken = model_.violation(state); counts(broken)) return fail(broken, at, nullptr);
        steps.clear();
        model_.successors(state, steps);
        for (const Step<State>& step : steps.all()) {
            ++transitions_;
            if (counts(step.violation)) return fail(step.violation, at, &step);
            const std::uint32_t next = visit(step.next, at);
            if (limits_.must_end && step.kind == Kind::FAIR) fair_.push_back({at, next});
        }
        return true;
    }

    bool counts(const char* violation) const {
        return violation != nullptr &&
               std::string(violation).compare(0, limits_.only.size(), limits_.only) == 0;
    }

    bool fail(const char* reason, std::uint32_t at, const Step<State>* last) {
        reason_ = reason;
        std::vector<std::uint32_t> path;
        for (std::uint32_t each = at; each != NO_PARENT; each = parents_[each]) path.push_back(each);
        for (std::size_t i = path.size() - 1; i > 0; --i)
            trace_.push_back(label_between(states_[path[i]], states_[path[i - 1]], nullptr));
        if (last != nullptr) trace_.push_back(label_between(states_[at], last->next, last->violation));
        trace_.push_back("state: " + model_.describe(last != nullptr ? last->next : states_[at]));
        return false;
    }

    std::string label_between(const State& from, const State& to, const char* violation) const {
        Steps<State> steps(true);
        model_.successors(from, steps);
        for (const Step<State>& step : steps.all())
            if (step.violation == violation && std::memcmp(&step.next, &to, sizeof to) == 0)
                return step.label;
        return "?";
    }

    // Walks the fair steps backwards from the good ends; a state that is not met cannot end.
    void find_state_without_end() {
        const Predecessors predecessors(fair_, states_.size());
        std::vector<std::uint8_t> ends(states_.size(), 0);
        std::vector<std::uint32_t> queue;
        for (std::uint32_t at = 0; at < states_.size(); ++at)
            if (model_.good_end(states_[at])) {
                ends[at] = 1;
                queue.push_back(at);
            }
        for (std::size_t i = 0; i < queue.size(); ++i)
            predecessors.each(queue[i], [&](std::uint32_t before) {
                if (!ends[before]) {
                    ends[before] = 1;
                    queue.push_back(before);
                }
            });
        for (std::uint32_t at = 0; at < states_.size(); ++at)
            if (!ends[at]) {
                fail("does not end: no good end can be reached by fair steps", at, nullptr);
                return;
            }
    }

    Verdict finish(Verdict::Kind kind, const std::string& reason) const {
        return {kind, reason, trace_, states_.size(), transitions_};
    }

    const Model& model_;
    Limits limits_;
    States<State> states_;
    std::vector<std::uint32_t> parents_;
    std::vector<Edge> fair_;
    std::uint64_t transitions_ = 0;
    std::string reason_;
    std::vector<std::string> trace_;
};

}  // namespace search
