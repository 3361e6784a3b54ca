// Model of the relay: rows of the outbox on their way to Kafka, with crashes, lost locks and records that are
// written late.
//
// A relay that is frozen takes no step. Its connection, and the lock with it, may be lost at any moment; it
// notices at its next statement only. See README.md for the rules and what breaks without each.
#include "options.hpp"
#include "outbox.hpp"

namespace relay {

using search::Kind;
using search::text;
using Steps = search::Steps<::relay::State>;

class Relay {
public:
    using State = ::relay::State;

    explicit Relay(const Options& options) : options_(options), outbox_(options.rows) {}

    std::vector<State> initial() const {
        State state{};
        state.lock_holder = NOBODY;
        state.last_of_a = NO_ROW;
        return {state};
    }

    const char* violation(const State& state) const {
        if (state.deleted & ~state.in_log) return "P2: a row was deleted that is not in the log";
        const bool at_rest = state.deleted == outbox_.all && !state.forgotten && !state.owners[0].sent &&
                             !state.owners[1].sent;
        if (options_.compacted && at_rest && state.last_of_a != outbox_.newest_of_a())
            return "compacted topic: all is published, and the last record of the key is not its newest";
        return nullptr;
    }

    bool good_end(const State& state) const {
        return state.deleted == outbox_.all &&
               (!options_.republishing || state.last_of_a == outbox_.newest_of_a());
    }

    void successors(const State& state, Steps& steps) const {
        commit_rows(state, steps);
        write_forgotten(state, steps);
        if (options_.republishing) republish(state, steps);
        for (int i = 0; i < options_.owners; ++i) {
            if (state.owners[i].believes_it_owns)
                act(state, i, steps);
            else
                take_lock(state, i, steps);
        }
    }

    std::string describe(const State& state) const {
        const char* last = state.last_of_a == NO_ROW ? "-" : outbox_.name(state.last_of_a);
        return text("in the log: %s; deleted: %s; last record of key a: %s",
                    outbox_.list(state.in_log).c_str(), outbox_.list(state.deleted).c_str(), last);
    }

private:
    static constexpr Rows bit(int row) { return static_cast<Rows>(1 << row); }

    // The services: transactions of one key do not overlap, since they lock the aggregate first.
    void commit_rows(const State& state, Steps& steps) const {
        for (int row = 0; row < outbox_.count; ++row) {
            if (state.committed & bit(row)) continue;
            const int previous = outbox_.previous(row);
            const bool in_order = previous == NO_ROW || (state.committed & bit(previous));
            if (!in_order && !options_.overlapping_transactions) continue;
            State next = state;
            next.committed |= bit(row);
            steps.add(next, Kind::FAIR, [&] {
                return text("row %s is committed%s", outbox_.name(row),
                            in_order ? "" : " before an earlier row of its key");
            });
        }
    }

    // Puts a record into the log; returns what is broken by it.
    const char* write(State& state, int row) const {
        const char* broken = nullptr;
        if (!(state.in_log & bit(row)))
            for (int later = row + 1; later < outbox_.count; ++later)
                if (outbox_.same_key(row, later) && (state.in_log & bit(later)))
                    broken = "P4: the first occurrences of a key are out of order";
        state.in_log |= bit(row);
        if (outbox_.key(row) == 'a') state.last_of_a = static_cast<Byte>(row);
        return broken;
    }

    void write_forgotten(const State& state, Steps& steps) const {
        for (int row = 0; row < outbox_.count; ++row) {
            if (!(state.forgotten & bit(row))) continue;
            State late = state;
            const char* broken = write(late, row);
            steps.add(
                late, Kind::CHANCE,
                [&] { return text("a forgotten record %s is written late", outbox_.name(row)); }, broken);
            State gone = state;
            gone.forgotten &= ~bit(row);
            steps.add(gone, Kind::FAIR,
                      [&] { return text("the forgotten record %s is gone", outbox_.name(row)); });
        }
    }

    void republish(const State& state, Steps& steps) const {
        if (state.deleted != outbox_.all || state.last_of_a == outbox_.newest_of_a()) return;
        State next = state;
        next.last_of_a = static_cast<Byte>(outbox_.newest_of_a());
        steps.add(next, Kind::FAIR, [] { return "the publisher announces its current state again"; });
    }

    void take_lock(const State& state, int i, Steps& steps) const {
        if (state.lock_holder != NOBODY && !options_.without_lock) return;
        State next = state;
        next.owners[i] = Owner{};
        next.owners[i].believes_it_owns = next.owners[i].connected = 1;
        next.lock_holder = static_cast<Byte>(i);
        if (options_.fencing) {
            next.forgotten = 0;
            next.owners[1 - i].sent = 0;
            next.producer_of = static_cast<Byte>(i);
        }
        steps.add(next, Kind::FAIR, [&] { return text("relay %d takes the lock", i + 1); });
    }

    void act(const State& state, int i, Steps& steps) const {
        const Owner& owner = state.owners[i];
        if (owner.connected || options_.without_lock) {
            read_page(state, i, steps);
            delete_acknowledged(state, i, steps);
        } else {
            notice_lost_connection(state, i, steps);
        }
        lose_connection_or_crash(state, i, steps);
        if (!owner.reading) send(state, i, steps);
        hear_from_broker(state, i, steps);
        if (owner.of_unknown_fate()) {
            State next = state;
            forget_producer(next, i);
            steps.add(next, Kind::CHANCE, [&] { return text("relay %d throws its producer away", i + 1); });
        }
    }

    // A round reads pages by id until one is not full, or until it has picked enough rows (modeled as: at any
    // page).
    void read_page(const State& state, int i, Steps& steps) const {
        const Owner& owner = state.owners[i];
        if (owner.in_hand()) return;  // the round in hand ends first
        State next = state;
        Owner& reader = next.owners[i];
        if (!owner.reading) begin_round(state, reader);
        const Rows visible =
            options_.pages == Pages::ONE_SNAPSHOT ? reader.snapshot : undeleted(state, reader);
        const bool full = pick_from_page(reader, visible);
        reader.reading = 1;
        if (full) add_read(next, i, steps, " and goes on to the next");
        end_reading(reader);
        if (std::memcmp(&next, &state, sizeof state) != 0)
            add_read(next, i, steps, ", the last of the round");
    }

    void add_read(const State& next, int i, Steps& steps, const char* what) const {
        steps.add(next, Kind::FAIR, [&] {
            return text("relay %d reads a page%s; picked so far: %s", i + 1, what,
                        outbox_.list(next.owners[i].picked).c_str());
        });
    }

    void begin_round(const State& state, Owner& reader) const {
        if (!options_.cursor) reader.picked = 0;
        if (options_.pages == Pages::ONE_SNAPSHOT) reader.snapshot = undeleted(state, reader);
    }

    void end_reading(Owner& reader) const {
        reader.reading = reader.snapshot = 0;
        if (!options_.cursor) reader.last_id = 0;
    }

    Rows undeleted(const State& state, const Owner& reader) const {
        const Rows rows = state.committed & ~state.deleted;
        return options_.failed_row_skipped ? rows & ~reader.failed : rows;
    }

    // SELECT … WHERE id > last_id AND key <> ALL(the keys picked already) ORDER BY id LIMIT page_size
    bool pick_from_page(Owner& reader, Rows visible) const {
        const Rows before = reader.picked;
        int size = 0;
        for (int row = reader.last_id; row < outbox_.count && size < options_.page_size; ++row) {
            if (!(visible & bit(row)) || !may_pick(before, row)) continue;
            ++size;
            reader.last_id = static_cast<Byte>(row + 1);
            if (may_pick(reader.picked, row)) reader.picked |= bit(row);
        }
        return size == options_.page_size;
    }

    bool may_pick(Rows picked, int row) const {
        return options_.cursor || outbox_.count_of_key(picked, row) < options_.unacknowledged_per_key;
    }

    // At the end of a round, in one statement: exactly the rows that were acknowledged.
    void delete_acknowledged(const State& state, int i, Steps& steps) const {
        const Owner& owner = state.owners[i];
        if (owner.acknowledged && !owner.of_unknown_fate()) {
            State next = state;
            next.deleted |= owner.acknowledged;
            next.owners[i].acknowledged = 0;
            steps.add(next, Kind::FAIR, [&] {
                return text("relay %d deletes %s", i + 1, outbox_.list(owner.acknowledged).c_str());
            });
        }
        if (options_.delete_before_acknowledged && owner.of_unknown_fate()) {
            State next = state;
            next.deleted |= owner.of_unknown_fate();
            steps.add(next, Kind::CHANCE,
                      [&] { return text("relay %d deletes before the acknowledgement", i + 1); });
        }
    }

    void notice_lost_connection(const State& state, int i, Steps& steps) const {
        State next = state;
        give_up(next, i);
        steps.add(next, Kind::FAIR, [&] {
            return text("relay %d notices that its connection is lost, closes its producer", i + 1);
        });
        const Rows acknowledged = state.owners[i].acknowledged;
        if (!options_.delete_without_lock || !acknowledged) return;
        State zombie = state;
        zombie.deleted |= acknowledged;
        zombie.owners[i].acknowledged = 0;
        steps.add(zombie, Kind::CHANCE, [&] {
            return text("relay %d deletes %s without the lock", i + 1, outbox_.list(acknowledged).c_str());
        });
    }

    void lose_connection_or_crash(const State& state, int i, Steps& steps) const {
        if (state.owners[i].connected) {
            State next = state;
            next.owners[i].connected = 0;
            if (next.lock_holder == i) next.lock_holder = NOBODY;
            steps.add(next, Kind::CHANCE, [&] {
                return text("relay %d is frozen too long, loses its connection and its lock", i + 1);
            });
        }
        State next = state;
        give_up(next, i);
        steps.add(next, Kind::CHANCE, [&] { return text("relay %d crashes", i + 1); });
    }

    void give_up(State& state, int i) const {
        forget_producer(state, i);
        state.owners[i] = Owner{};
        if (state.lock_holder == i) state.lock_holder = NOBODY;
    }

    void forget_producer(State& state, int i) const {
        Owner& owner = state.owners[i];
        if (!options_.fencing) state.forgotten |= owner.sent;
        owner.sent = owner.written = 0;
    }

    // The picked rows, a key's rows in order, at most so many of a key of unknown fate. Needs no lock: it is
    // from memory.
    void send(const State& state, int i, Steps& steps) const {
        const Owner& owner = state.owners[i];
        for (int row = 0; row < outbox_.count; ++row) {
            if (!(owner.picked & bit(row)) || outbox_.count_of_key(owner.picked & (bit(row) - 1), row))
                continue;
            if (outbox_.count_of_key(owner.of_unknown_fate(), row) >= options_.unacknowledged_per_key)
                continue;
            State next = state;
            next.owners[i].sent |= bit(row);
            next.owners[i].picked &= ~bit(row);
            steps.add(next, Kind::FAIR, [&] {
                return text("relay %d sends %s%s", i + 1, outbox_.name(row),
                            owner.connected ? "" : " from memory, without the lock");
            });
        }
    }

    void hear_from_broker(const State& state, int i, Steps& steps) const {
        for (int row = 0; row < outbox_.count; ++row) {
            if (state.owners[i].sent & bit(row)) write_or_expire(state, i, row, steps);
            if (state.owners[i].written & bit(row)) acknowledge_or_not(state, i, row, steps);
        }
    }

    // An idempotent producer's records of one partition are written in order while none has failed.
    void write_or_expire(const State& state, int i, int row, Steps& steps) const {
        const bool is_next = outbox_.count_of_key(state.owners[i].sent & (bit(row) - 1), row) == 0;
        if (is_next && !(options_.fencing && state.producer_of != i)) {
            State next = state;
            next.owners[i].sent &= ~bit(row);
            next.owners[i].written |= bit(row);
            const char* broken = write(next, row);
            steps.add(
                next, Kind::FAIR,
                [&] { return text("the broker writes %s of relay %d", outbox_.name(row), i + 1); }, broken);
        }
        State next = state;
        next.owners[i].sent &= ~bit(row);
        if (!options_.fencing) next.forgotten |= bit(row);
        note_failure(next, i, row);
        steps.add(next, Kind::CHANCE, [&] {
            return text("relay %d: %s expires or fails; it may still be written", i + 1, outbox_.name(row));
        });
    }

    void acknowledge_or_not(const State& state, int i, int row, Steps& steps) const {
        State next = state;
        next.owners[i].written &= ~bit(row);
        State failed = next;
        next.owners[i].acknowledged |= bit(row);
        steps.add(next, Kind::FAIR,
                  [&] { return text("relay %d gets the acknowledgement of %s", i + 1, outbox_.name(row)); });
        note_failure(failed, i, row);
        steps.add(failed, Kind::CHANCE, [&] {
            return text("relay %d: the acknowledgement of %s is lost", i + 1, outbox_.name(row));
        });
    }

    void note_failure(State& state, int i, int row) const {
        if (options_.failed_row_skipped) state.owners[i].failed |= bit(row);
    }

    const Options options_;
    const Outbox outbox_;
};

}  // namespace relay

int main(int count, char** arguments) {
    relay::Options options;
    return search::run<relay::Relay>(relay::command_line(options), options, count, arguments);
}
