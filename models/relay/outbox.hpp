// The rows of the outbox, and the state of the model: database, log, and the relays that serve the shard.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

namespace relay {

using Byte = std::uint8_t;
using Rows = std::uint8_t;  // a set of rows: one bit each

constexpr int MAX_ROWS = 5;
constexpr Byte NOBODY = 2;
constexpr Byte NO_ROW = 9;

// The rows in the order of their ids, for each number of rows.
inline const char* const NAMES[][MAX_ROWS] = {
    {"a1", "b1", "a2"}, {"a1", "b1", "b2", "a2"}, {"a1", "b1", "b2", "a2", "a3"}};

class Outbox {
public:
    explicit Outbox(int rows)
        : count(rows), all(static_cast<Rows>((1 << rows) - 1)), names_(NAMES[rows - 3]) {}

    const char* name(int row) const { return names_[row]; }
    char key(int row) const { return names_[row][0]; }
    bool same_key(int one, int other) const { return key(one) == key(other); }

    // Returns the row of the same key that was recorded before; NO_ROW when it is the first.
    int previous(int row) const {
        for (int other = row - 1; other >= 0; --other)
            if (same_key(row, other)) return other;
        return NO_ROW;
    }
    int newest_of_a() const { return count - 1; }

    int count_of_key(Rows rows, int row) const {
        int found = 0;
        for (int other = 0; other < count; ++other) found += (rows >> other & 1) && same_key(other, row);
        return found;
    }

    std::string list(Rows rows) const {
        std::string names;
        for (int row = 0; row < count; ++row)
            if (rows >> row & 1) names += std::string(names.empty() ? "" : " ") + name(row);
        return names.empty() ? "nothing" : names;
    }

    const int count;
    const Rows all;

private:
    const char* const* names_;
};

// One relay. `sent` is with the producer, `written` is in the log with its acknowledgement under way.
struct Owner {
    Byte believes_it_owns, connected, reading, last_id;
    Rows snapshot, picked, sent, written, acknowledged, failed;

    Rows of_unknown_fate() const { return sent | written; }
    Rows in_hand() const { return sent | written | acknowledged; }
};

struct State {
    Rows committed, deleted;  // the database
    Rows in_log;              // the log: which rows have occurred in it
    Byte last_of_a;           // … and the last record of key a
    // Records of a producer that nobody waits for any more: each may be written at any time, any number of
    // times, or never.
    Rows forgotten;
    Byte lock_holder, producer_of;
    Owner owners[2];
};

}  // namespace relay
