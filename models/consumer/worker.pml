/* A worker: polls, handles a batch in one transaction, event by event after an error; commits the group's offset. */

/* Kafka: the group's offset, which worker owns the partition, the generation of the group. */
#ifdef NEW_HANDLER         /* a handler was added at GROUP_BEGINS_AT; the group's offset lags behind */
byte group_offset = 0;
#else
byte group_offset = GROUP_BEGINS_AT;
#endif
byte owner = 1; byte generation = 1;

inline seek() {
#ifdef WITHOUT_POSITION_START             /* from the lower of both */
  fetch = (group_offset < position -> group_offset : position)
#else
  fetch = position
#endif
#ifdef LOG_CHANGES
  fetch_id = position_id; fetch_log = position_log
#endif
}

/* A new event of the batch whose key is not parked. */
#define IS_FREE(e) ((fresh & BIT(e)) && !(behind & BIT(KEY(e))))
#if EVENTS == 3
#define ANY_IS_FREE (IS_FREE(0) || IS_FREE(1) || IS_FREE(2))
#else
#define ANY_IS_FREE (IS_FREE(0) || IS_FREE(1) || IS_FREE(2) || IS_FREE(3))
#endif

inline insert_batch() {
  fresh = 0; behind = 0; event = 0;
  do
  :: event < EVENTS -> if :: IN_BATCH(event) -> insert_inbox(event) :: else fi; event++
  :: else -> break
  od
}

inline see_parked_keys_of_batch() {
  atomic {
    CHECK_SESSION; event = 0;
    do
    :: event < EVENTS -> if :: IN_BATCH(event) -> SEE_PARKED(KEY(event)) :: else fi; event++
    :: else -> break
    od;
    event = 0
  }
}

/* What is behind a parked key waits; what is free takes effect. */
inline record_outcomes() {
  event = 0;
  do
  :: event < EVENTS ->
     if
     :: (fresh & BIT(event)) && (behind & BIT(KEY(event))) -> inbox_pending[event] = WAITING_FRESH
     :: (fresh & BIT(event)) && !(behind & BIT(KEY(event))) -> effects_pending[me] = effects_pending[me] | BIT(event)
     :: else
     fi;
     event++
  :: else -> break
  od;
  event = 0
}

#ifdef PARK_IN_SECOND_TRANSACTION
/* The attempt is rolled back as a whole, and the key is parked in another transaction. */
inline begin_parking_transaction() {
  atomic { CHECK_SESSION; event = inbox_pending[RECORD(at)]; end_transaction(me); fresh = 0 };
  lock_and_compare(at);
  insert_inbox(RECORD(at));
#ifdef PARK_UNCHECKED
  atomic {
    (KILLED || inbox_holder[RECORD(at)] == NOBODY || inbox_holder[RECORD(at)] == me) -> CHECK_SESSION;
    inbox_holder[RECORD(at)] = me; inbox_pending[RECORD(at)] = event; event = 0
  }
#else
  if :: fresh == 0 -> event = 0; goto recorded :: else fi;
  see_parked(KEY(RECORD(at))); lock_seen_parked(KEY(RECORD(at)));
  atomic { CHECK_SESSION; inbox_pending[RECORD(at)] = event; event = 0 }
#endif
}
#endif

proctype Worker(byte me) {
  byte fetch, first, end, at, event, seen_generation, fresh, behind; bool single;
#ifdef LOG_CHANGES
  byte fetch_id, fetch_log, of_log;
#endif
#ifdef NEW_HANDLER
  atomic { if :: me == 1 -> fetch = GROUP_BEGINS_AT; seen_generation = 1 :: else fi };
#endif
idle:
end_idle:
  atomic {
    if
    :: owner == me && seen_generation != generation -> seen_generation = generation; seek(); goto idle
#ifndef WITHOUT_IDLE_COMPARISON           /* while idle, and after a reconnect */
    :: owner == me && seen_generation == generation && POSITION_HAS_MOVED -> seek(); goto idle
#endif
#ifdef LOG_CHANGES
    :: owner == me && seen_generation == generation && !stopped && IS_ANOTHER_LOG(fetch, fetch_id, fetch_log) ->
       stopped = 1; goto idle
#endif
    :: owner == me && seen_generation == generation && fetch < LOG_END && MAY_READ(fetch, fetch_id, fetch_log) ->
       first = fetch; single = 0;
       if :: end = first + 1 :: end = (first + POLL > LOG_END -> LOG_END : first + POLL) fi;
       fetch = end;
#ifdef LOG_CHANGES
       of_log = log_now; fetch_log = log_now
#else
       skip
#endif
    fi
  };
again:
  at = first;
  if :: single -> goto one_by_one :: else fi;

  lock_and_compare(first);
  insert_batch();
  see_parked_keys_of_batch();
  lock_seen_parked(0); lock_seen_parked(1);
  if :: ANY_IS_FREE -> ENTER_HANDLER; UPDATE_DOMAIN :: else fi;
  atomic {
    CHECK_SESSION; LEAVE_HANDLER;
    if
    :: record_outcomes()
    :: ANY_IS_FREE && transients > 0 ->   /* a handler raised: the batch is rolled back, and taken event by event */
       transients--; end_transaction(me); event = 0; fresh = 0; behind = 0; single = 1; goto one_by_one
    fi
  };
  atomic {
    (KILLED || position_holder == NOBODY || position_holder == me) -> CHECK_SESSION;
    MOVE_POSITION(end); commit(me); fresh = 0; behind = 0
  };
  goto commit_offset;

one_by_one:
  do
  :: at < end ->
     fresh = 0; behind = 0;
     lock_and_compare(at);
     insert_inbox(RECORD(at));
     if :: fresh == 0 -> goto recorded :: else fi;
     see_parked(KEY(RECORD(at))); lock_seen_parked(KEY(RECORD(at)));
     if :: behind -> atomic { CHECK_SESSION; inbox_pending[RECORD(at)] = WAITING_FRESH }; goto recorded :: else fi;
     ENTER_HANDLER; UPDATE_DOMAIN;
     atomic {
       CHECK_SESSION; LEAVE_HANDLER;
       if
       :: effects_pending[me] = effects_pending[me] | BIT(RECORD(at)); goto recorded
       :: transients > 0 -> transients--; inbox_pending[RECORD(at)] = WAITING_FRESH
       :: poisons > 0 -> poisons--; inbox_pending[RECORD(at)] = DEAD
       fi;
       ROLL_BACK_HANDLER
     };
#ifdef PARK_IN_SECOND_TRANSACTION
     begin_parking_transaction();
#endif
     insert_parked(KEY(RECORD(at)));
recorded:
     atomic {
       (KILLED || position_holder == NOBODY || position_holder == me) -> CHECK_SESSION;
       MOVE_POSITION(at + 1); commit(me); fresh = 0; behind = 0; at++
     }
  :: else -> break
  od;

commit_offset:
  atomic {
    if
    :: owner == me && seen_generation == generation -> group_offset = end
#ifdef STALE_COMMIT
    :: owner != me -> group_offset = end  /* by a member that owns the partition no more: the broker does not look */
#endif
    :: true
    fi;
    first = 0; end = 0; at = 0; event = 0; fresh = 0; behind = 0; single = 0;
#ifdef LOG_CHANGES
    of_log = 0;
#endif
    if :: owner != me || seen_generation != generation -> fetch = 0; seen_generation = 0 :: else fi
  };
  goto idle;

lost:   /* the transaction is gone: an outage (the same batch again, from memory), or a crash (no memory) */
  atomic {
    fresh = 0; behind = 0; event = 0;
    if
    :: if :: single -> first = at :: else fi; goto again
    :: first = 0; end = 0; at = 0; fetch = 0; seen_generation = UNKNOWN; single = 0; goto idle
    fi
  }
}

#if LOG == TWO_TOPICS
/* The worker of the other topic: the same key, another position row. */
proctype OtherTopic() {
  byte behind, fresh; byte me = OTHER_WORKER;
again:
  fresh = 0; behind = 0;
  atomic { CHECK_SESSION; in_transaction = in_transaction | BIT(me) };
  insert_inbox(2);
  if :: fresh == 0 -> goto recorded :: else fi;
  see_parked(0); lock_seen_parked(0);
  if :: behind -> atomic { CHECK_SESSION; inbox_pending[2] = WAITING_FRESH }; goto recorded :: else fi;
  ENTER_HANDLER; UPDATE_DOMAIN;
  atomic {
    CHECK_SESSION; LEAVE_HANDLER;
    if
    :: effects_pending[me] = BIT(2); goto recorded
    :: transients > 0 -> transients--; inbox_pending[2] = WAITING_FRESH
    fi;
    ROLL_BACK_HANDLER
  };
  insert_parked(0);
recorded:
  atomic { CHECK_SESSION; commit(me); fresh = 0; behind = 0 };
  goto stop;
lost:
  goto again;
stop:
  skip
}
#endif
