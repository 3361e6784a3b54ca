// What can be chosen about the relay: its bounds, and the rules that are left out. The defaults are the code.
#pragma once

#include "../search/program.hpp"

namespace relay {

// How the pages of one round are read: messaging/outbox/relay.py reads all of them in one REPEATABLE READ
// transaction.
enum class Pages { ONE_SNAPSHOT, EACH_ITS_OWN_SNAPSHOT };

struct Options {
    int rows = 4;    // 3: a1 b1 a2; 4: a1 b1 b2 a2; 5: a1 b1 b2 a2 a3; in the order of their ids
    int owners = 2;  // relays that may serve the shard
    int page_size = 2;
    Pages pages = Pages::ONE_SNAPSHOT;

    int unacknowledged_per_key = 1;    // rows of one key whose fate is unknown at the same time
    bool without_lock = false;         // two relays are active all the time
    bool delete_without_lock = false;  // a relay that lost its connection deletes on another one
    bool delete_before_acknowledged = false;
    bool failed_row_skipped = false;        // a row that failed is left out, in place of its key
    bool overlapping_transactions = false;  // a row is committed before an earlier row of its key
    bool cursor = false;                    // rows are found by id > last, in place of "not deleted yet"

    bool compacted = false;  // the topic keeps the last record of a key: it must be the newest
    bool fencing = false;    // the broker refuses producers of earlier owners (a transactional id per shard)
    bool republishing =
        false;  // the publisher announces its current state again (republish_catalog, republish_users)
};

inline search::CommandLine command_line(Options& options) {
    search::CommandLine line;
    line.number("rows", options.rows).number("owners", options.owners).number("page_size", options.page_size);
    line.choice<Pages>(
        "pages", options.pages,
        {{"one_snapshot", Pages::ONE_SNAPSHOT}, {"each_its_own_snapshot", Pages::EACH_ITS_OWN_SNAPSHOT}});
    line.number("unacknowledged_per_key", options.unacknowledged_per_key);
    line.flag("without_lock", options.without_lock).flag("delete_without_lock", options.delete_without_lock);
    line.flag("delete_before_acknowledged", options.delete_before_acknowledged);
    line.flag("failed_row_skipped", options.failed_row_skipped);
    line.flag("overlapping_transactions", options.overlapping_transactions).flag("cursor", options.cursor);
    line.flag("compacted", options.compacted).flag("fencing", options.fencing);
    line.flag("republishing", options.republishing);
    return line;
}

}  // namespace relay
