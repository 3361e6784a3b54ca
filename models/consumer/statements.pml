/* SQL statements. One statement, or one row of a statement that may have to wait, is one atomic step. */

#define UNKNOWN 255        /* a generation that never is: the worker seeks before it goes on */

#ifdef WITHOUT_POSITION_ROW
#define NO_ROW_TO_LOCK (position == 0)    /* the row is created by the first commit: nothing to lock before */
#else
#define NO_ROW_TO_LOCK 0
#endif

/* SELECT … FROM messaging_consumer_position FOR UPDATE */
#define LOCK_POSITION_ROW \
  (KILLED || position_holder == NOBODY || NO_ROW_TO_LOCK) -> CHECK_SESSION; in_transaction = in_transaction | BIT(me); \
  if :: !NO_ROW_TO_LOCK && position_holder == NOBODY -> position_holder = me :: else fi

/* … and compare it with the position that the records were fetched from; if it differs, seek there. */
inline lock_and_compare(fetched_from) {
  atomic {
    LOCK_POSITION_ROW;
#ifndef WITHOUT_COMPARISON
    if :: HAS_MOVED_FROM(fetched_from) -> end_transaction(me); seen_generation = UNKNOWN; goto idle :: else fi
#endif
  }
}
#ifdef LOG_CHANGES
#define MOVE_POSITION(to) position_holder = me; position_moved = 1; position_pending = (to); log_pending = of_log
#else
#define MOVE_POSITION(to) position_holder = me; position_moved = 1; position_pending = (to)
#endif

/* INSERT … ON CONFLICT DO NOTHING: waits for an uncommitted insert or update of the same row. */
inline insert_inbox(e) {
  atomic {
    (KILLED || inbox_holder[e] == NOBODY || inbox_holder[e] == me) -> CHECK_SESSION;
    if
    :: inbox[e] == NONE && inbox_holder[e] == NOBODY ->
       inbox_holder[e] = me; inbox_pending[e] = DONE; fresh = fresh | BIT(e)
    :: else
    fi
  }
}

/* Who locks a parked key, and how: the consumer, a retry or an operator, a hand-back. */
#ifdef WITHOUT_SHARED_LOCKS               /* everybody FOR UPDATE */
#define UPDATE_IS_FREE(k) (parked_update[k] == NOBODY || parked_update[k] == me)
#define CONSUMER_MAY_LOCK(k) UPDATE_IS_FREE(k)
#define CONSUMER_LOCKS(k) parked_update[k] = me
#define DRAIN_MAY_LOCK(k) UPDATE_IS_FREE(k)
#define DRAIN_LOCKS(k) parked_update[k] = me
#define HAND_BACK_MAY_LOCK(k) UPDATE_IS_FREE(k)
#else                                     /* FOR KEY SHARE, FOR NO KEY UPDATE, FOR UPDATE */
#define CONSUMER_MAY_LOCK(k) (parked_update[k] == NOBODY || parked_update[k] == me)
#define CONSUMER_LOCKS(k) parked_key_share[k] = parked_key_share[k] | BIT(me)
#define DRAIN_MAY_LOCK(k) (CONSUMER_MAY_LOCK(k) && (parked_no_key_update[k] == NOBODY || parked_no_key_update[k] == me))
#define DRAIN_LOCKS(k) parked_no_key_update[k] = me
#define HAND_BACK_MAY_LOCK(k) (DRAIN_MAY_LOCK(k) && (parked_key_share[k] & ~BIT(me)) == 0)
#endif

/* A consumer that is about to wait for a parked key must not wait for a handler that runs under its lock. */
#define HOLDER_RUNS_A_HANDLER(k) \
  (parked_update[k] != NOBODY && parked_update[k] != me && (in_handler & BIT(parked_update[k])))
#define SEE_PARKED(k) \
  if \
  :: parked[k] -> \
     MUST(P5_no_wait_behind_a_handler, !HOLDER_RUNS_A_HANDLER(k)); parked_wanted[k] = parked_wanted[k] | BIT(me) \
  :: else \
  fi

/* SELECT … FROM messaging_parked_key … FOR KEY SHARE: the snapshot, a wait, then another look at the row. */
inline see_parked(k) { atomic { CHECK_SESSION; SEE_PARKED(k) } }
inline lock_seen_parked(k) {
  if
  :: parked_wanted[k] & BIT(me) ->
     atomic {
       (KILLED || !(parked_wanted[k] & BIT(me)) || CONSUMER_MAY_LOCK(k)) -> CHECK_SESSION;
       if
       :: parked_wanted[k] & BIT(me) ->
          CONSUMER_LOCKS(k); behind = behind | BIT(k); parked_wanted[k] = parked_wanted[k] & ~BIT(me)
       :: else
       fi
     }
  :: else
  fi
}

/* The same for one key, by a retry, an operator (FOR NO KEY UPDATE) or a hand-back (FOR UPDATE). */
#define SEE_ONE(k) \
  atomic { \
    CHECK_SESSION; in_transaction = in_transaction | BIT(me); locked = 0; \
    if :: parked[k] -> parked_wanted[k] = parked_wanted[k] | BIT(me) :: else fi \
  }
inline lock_exclusively(k) {
  SEE_ONE(k);
  if
  :: parked_wanted[k] & BIT(me) ->
     atomic {
       (KILLED || !(parked_wanted[k] & BIT(me)) || DRAIN_MAY_LOCK(k)) -> CHECK_SESSION;
       if
       :: parked_wanted[k] & BIT(me) -> DRAIN_LOCKS(k); locked = 1; parked_wanted[k] = parked_wanted[k] & ~BIT(me)
       :: else
       fi
     }
  :: else
  fi
}
inline lock_for_hand_back(k) {
  SEE_ONE(k);
  if
  :: parked_wanted[k] & BIT(me) ->
     atomic {
       (KILLED || !(parked_wanted[k] & BIT(me)) || HAND_BACK_MAY_LOCK(k)) -> CHECK_SESSION;
       if
       :: parked_wanted[k] & BIT(me) ->
          parked_update[k] = me; locked = 1; parked_wanted[k] = parked_wanted[k] & ~BIT(me)
       :: else
       fi
     }
  :: else
  fi
}

/* INSERT … ON CONFLICT DO NOTHING waits for a pending insert or delete, and takes no lock where the row is there;
   then the consumer's lock, and once more from the start when the row has gone meanwhile. */
inline insert_parked(k) {
  do
  :: atomic {
       (KILLED || parked_pending[k] == 0 || parked_update[k] == me) -> CHECK_SESSION;
       if :: !parked[k] -> parked_update[k] = me; parked_pending[k] = INSERTED :: else fi
     };
     if
     :: parked_update[k] == me && parked_pending[k] == INSERTED -> break
     :: else
     fi;
#ifdef PARK_WITHOUT_LOCK
     break;
#else
     see_parked(k); lock_seen_parked(k);
     if :: behind & BIT(k) -> break :: else fi
#endif
  od
}

/* The handler updates a row of the domain, which may have to wait. */
#define UPDATE_DOMAIN \
  atomic { (KILLED || domain_holder == NOBODY || domain_holder == me) -> CHECK_SESSION; domain_holder = me }
#define ENTER_HANDLER atomic { CHECK_SESSION; in_handler = in_handler | BIT(me) }
#define LEAVE_HANDLER in_handler = in_handler & ~BIT(me)
/* The handler raised: its savepoint is rolled back, and the locks that it took with it. */
#define ROLL_BACK_HANDLER if :: domain_holder == me -> domain_holder = NOBODY :: else fi
