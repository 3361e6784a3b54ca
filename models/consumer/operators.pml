/* An operator who retries or skips queued events, and a replay of what is before the live group's first offset. */

#if EVENTS == 3
#define ANY_IN_QUEUE (IN_QUEUE(inbox[0]) || IN_QUEUE(inbox[1]) || IN_QUEUE(inbox[2]))
#else
#define ANY_IN_QUEUE (IN_QUEUE(inbox[0]) || IN_QUEUE(inbox[1]) || IN_QUEUE(inbox[2]) || IN_QUEUE(inbox[3]))
#endif

proctype Operator() {
  byte head, locked, key, wish; byte me = OPERATOR;
idle:
end_idle:
  atomic {
    if
    :: actions > 0 ->
       actions--;
       if
       :: IN_QUEUE(inbox[0]) -> head = 0
       :: IN_QUEUE(inbox[1]) -> head = 1
       :: IN_QUEUE(inbox[2]) -> head = 2
#if EVENTS == 4
       :: IN_QUEUE(inbox[3]) -> head = 3
#endif
       :: else -> actions++; goto wait
       fi
    :: actions > 0 -> actions = 0; goto idle
    fi
  };
  atomic { key = KEY(head); if :: wish = WAITING_FRESH :: wish = SKIPPED fi };
#ifdef OPERATOR_WITHOUT_LOCK
  atomic { CHECK_SESSION; in_transaction = in_transaction | BIT(me) };
#else
  lock_exclusively(key);
#endif
  /* UPDATE … WHERE state IN (waiting, dead): waits for the row, then looks at it again */
  atomic {
    (KILLED || inbox_holder[head] == NOBODY) -> CHECK_SESSION;
    if :: IN_QUEUE(inbox[head]) -> inbox_holder[head] = me; inbox_pending[head] = wish :: else fi
  };
  atomic { CHECK_SESSION; commit(me); head = 0; locked = 0; key = 0; wish = 0 };
  goto idle;
wait:
end_wait:
  atomic { (actions == 0 || ANY_IN_QUEUE) -> goto idle };
lost:
  atomic { head = 0; locked = 0; key = 0; wish = 0; goto idle }
}

#ifdef REPLAY
#ifdef REPLAY_REFUSES_BEHIND_DONE_ONLY
#define STANDS_IN_THE_WAY(state) ((state) == DONE)
#else
#define STANDS_IN_THE_WAY(state) ((state) != NONE)
#endif

/* Refuses an event when the handler has later inbox rows of its key. */
inline refuse_behind_later_rows() {
  atomic {
    CHECK_SESSION; event = record[at] + 1;
    do
    :: event < EVENTS ->
       if
       :: KEY(event) == KEY(record[at]) && STANDS_IN_THE_WAY(inbox[event]) ->
          end_transaction(me); event = 0; fresh = 0; at++; goto next
       :: else
       fi;
       event++
    :: else -> break
    od;
    event = 0
  }
}

proctype Replay() {
  byte at, behind, fresh, event; byte tries = 2; byte me = REPLAYING;
next:
  do
  :: at < GROUP_BEGINS_AT ->
     fresh = 0; behind = 0;
#ifdef REPLAY_WITHOUT_POSITION_LOCK
     atomic { CHECK_SESSION; in_transaction = in_transaction | BIT(me) };
#else
     atomic { LOCK_POSITION_ROW };        /* the lock alone: a replay never moves the position */
#endif
     insert_inbox(record[at]);
     if :: fresh == 0 -> goto recorded :: else fi;
     refuse_behind_later_rows();
     see_parked(KEY(record[at])); lock_seen_parked(KEY(record[at]));
     if :: behind -> atomic { CHECK_SESSION; inbox_pending[record[at]] = WAITING_FRESH }; goto recorded :: else fi;
     ENTER_HANDLER; UPDATE_DOMAIN;
     atomic {
       CHECK_SESSION; LEAVE_HANDLER;
       if
       :: effects_pending[me] = effects_pending[me] | BIT(record[at]); goto recorded
       :: transients > 0 -> transients--; inbox_pending[record[at]] = WAITING_FRESH; ROLL_BACK_HANDLER
       fi
     };
     insert_parked(KEY(record[at]));
recorded:
     atomic { CHECK_SESSION; commit(me); fresh = 0; behind = 0; at++ }
  :: else -> break
  od;
  at = 0; fresh = 0; behind = 0; goto stop;
lost:
  atomic { fresh = 0; behind = 0; event = 0; if :: tries > 0 -> tries--; goto next :: else -> at = 0; goto stop fi };
stop:
  skip
}
#endif
