// What can be chosen about the saga: its bounds, and the rules that are left out. The defaults are the code.
#pragma once

#include "../search/program.hpp"

namespace saga {

struct Options {
    int orders = 1;
    int stock = 1;
    bool coupon = false;  // the (first) order has a coupon, and the coupon service takes part
    bool user = false;    // the user service counts purchases
    bool counted =
        false;  // stock and coupon are counted; otherwise success or refusal is free (other orders)
    bool foreign = false;  // answers of every kind come from elsewhere; only the order side is checked
    bool sealed = false;   // once all is quiet nothing but replays happens, and nothing may change (P10)

    // What operators, customers and faults may do.
    bool cancel = true, exhausted = true, skip_dead_letters = true, resolve_by_hand = true,
         resend_request = true;
    bool replay_participants = true, replay_order = true;
    bool edited_dead_letter = false;  // an operator changes the quantity of a dead OrderCreated from 1 to 2

    // Rules left out: participants (the decision row).
    bool exhausted_writes_no_decision = false;
    bool exhausted_ignores_decision = false;     // a failure is published although the row says HELD
    bool restored_repeats_first_answer = false;  // RESTORED + OrderCreated: StockReduced again
    bool restored_again_says_false = false;      // RESTORED + OrderCanceled: nothing to give back this time
    bool refused_tries_again = false;
    bool refused_leaves_cancel_unanswered = false;
    bool no_barrier = false;        // OrderCanceled that comes first leaves no decision
    bool restore_by_event = false;  // by the lines of OrderCanceled, in place of the hold rows
    bool no_tombstone = false;      // the user service forgets a canceled order

    // Rules left out: coordinator.
    bool late_success_reopens = false;   // a success that comes after the cancel is undone whenever it comes
    bool stuck_ignores_answers = false;  // COMPENSATION_STUCK is left by an operator alone
    bool undo_never_resent = false;
    bool undo_not_resent_when_stuck = false;
    bool undo_not_resent_by_hand = false;
    bool by_hand_is_compensated = false;  // to resolve by hand writes COMPENSATED
    bool by_hand_adjusts_stock = false;   // … and the operator gives the stock back by an adjustment
    bool contradiction_cancels = false;   // a failure after a success cancels the order
    bool no_deadline = false;
    bool request_resent_in_any_state = false;
};

inline void add_bounds(search::CommandLine& line, Options& options) {
    line.number("orders", options.orders).number("stock", options.stock);
    line.flag("coupon", options.coupon).flag("user", options.user).flag("counted", options.counted);
    line.flag("foreign", options.foreign).flag("sealed", options.sealed).flag("cancel", options.cancel);
    line.flag("exhausted", options.exhausted).flag("skip_dead_letters", options.skip_dead_letters);
    line.flag("resolve_by_hand", options.resolve_by_hand).flag("resend_request", options.resend_request);
    line.flag("replay_participants", options.replay_participants).flag("replay_order", options.replay_order);
    line.flag("edited_dead_letter", options.edited_dead_letter);
}

inline void add_rules(search::CommandLine& line, Options& options) {
    line.flag("exhausted_writes_no_decision", options.exhausted_writes_no_decision);
    line.flag("exhausted_ignores_decision", options.exhausted_ignores_decision);
    line.flag("restored_repeats_first_answer", options.restored_repeats_first_answer);
    line.flag("restored_again_says_false", options.restored_again_says_false);
    line.flag("refused_tries_again", options.refused_tries_again);
    line.flag("refused_leaves_cancel_unanswered", options.refused_leaves_cancel_unanswered);
    line.flag("no_barrier", options.no_barrier).flag("restore_by_event", options.restore_by_event);
    line.flag("no_tombstone", options.no_tombstone)
        .flag("late_success_reopens", options.late_success_reopens);
    line.flag("stuck_ignores_answers", options.stuck_ignores_answers);
    line.flag("undo_never_resent", options.undo_never_resent);
    line.flag("undo_not_resent_when_stuck", options.undo_not_resent_when_stuck);
    line.flag("undo_not_resent_by_hand", options.undo_not_resent_by_hand);
    line.flag("by_hand_is_compensated", options.by_hand_is_compensated);
    line.flag("by_hand_adjusts_stock", options.by_hand_adjusts_stock);
    line.flag("contradiction_cancels", options.contradiction_cancels)
        .flag("no_deadline", options.no_deadline);
    line.flag("request_resent_in_any_state", options.request_resent_in_any_state);
}

}  // namespace saga
