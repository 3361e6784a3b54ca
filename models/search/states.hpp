// What the search remembers: each state once, in the order of discovery, and the steps between them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace search {

// A hash table with open addressing over a vector of states.
template <class State>
class States {
public:
    States() : slots_(std::size_t{1} << 20, 0) {}

    // Returns the index of the state, and whether it is new.
    std::pair<std::uint32_t, bool> add(const State& state) {
        if (states_.size() * 2 > slots_.size()) grow();
        const std::size_t slot = find(state);
        if (slots_[slot] != 0) return {slots_[slot] - 1, false};
        states_.push_back(state);
        slots_[slot] = static_cast<std::uint32_t>(states_.size());
        return {slots_[slot] - 1, true};
    }
    std::size_t size() const { return states_.size(); }
    const State& operator[](std::size_t index) const { return states_[index]; }

private:
    // FNV-1a, then a mix of the high bits.
    static std::uint64_t hash(const State& state) {
        unsigned char bytes[sizeof(State)];
        std::memcpy(bytes, &state, sizeof state);
        std::uint64_t value = 1469598103934665603ULL;
        for (const unsigned char byte : bytes) value = (value ^ byte) * 1099511628211ULL;
        value ^= value >> 29;
        value *= 0xbf58476d1ce4e5b9ULL;
        return value ^ (value >> 32);
    }

    std::size_t find(const State& state) const {
        const std::size_t mask = slots_.size() - 1;
        std::size_t slot = hash(state) & mask;
        while (slots_[slot] != 0 && std::memcmp(&states_[slots_[slot] - 1], &state, sizeof state) != 0)
            slot = (slot + 1) & mask;
        return slot;
    }

    void grow() {
        slots_.assign(slots_.size() * 2, 0);
        for (std::size_t i = 0; i < states_.size(); ++i)
            slots_[find(states_[i])] = static_cast<std::uint32_t>(i + 1);
    }

    std::vector<State> states_;
    std::vector<std::uint32_t> slots_;  // index + 1; 0 is free
};

struct Edge {
    std::uint32_t from, to;
};

// The edges sorted by their end.
class Predecessors {
public:
    Predecessors(const std::vector<Edge>& edges, std::size_t states)
        : begin_(states + 1, 0), from_(edges.size()) {
        for (const Edge& edge : edges) ++begin_[edge.to + 1];
        for (std::size_t i = 0; i < states; ++i) begin_[i + 1] += begin_[i];
        std::vector<std::uint32_t> free(begin_.begin(), begin_.end() - 1);
        for (const Edge& edge : edges) from_[free[edge.to]++] = edge.from;
    }

    template <class Visit>
    void each(std::uint32_t to, Visit&& visit) const {
        for (std::uint32_t i = begin_[to]; i < begin_[to + 1]; ++i) visit(from_[i]);
    }

private:
    std::vector<std::uint32_t> begin_, from_;
};

}  // namespace search
