/* The retry of parked keys: retries the head of a parked key's queue, one event a transaction, and hands an empty key back. */

#define QUEUED(k, e) (KEY(e) == k && IN_QUEUE(inbox[e]))
#if EVENTS == 3
#define QUEUE_IS_EMPTY(k) (!QUEUED(k, 0) && !QUEUED(k, 1) && !QUEUED(k, 2))
#define HEAD_WAITS(k) \
  (QUEUED(k, 0) -> IS_WAITING(inbox[0]) : (QUEUED(k, 1) -> IS_WAITING(inbox[1]) : IS_WAITING(inbox[2])))
#else
#define QUEUE_IS_EMPTY(k) (!QUEUED(k, 0) && !QUEUED(k, 1) && !QUEUED(k, 2) && !QUEUED(k, 3))
#define HEAD_WAITS(k) \
  (QUEUED(k, 0) -> IS_WAITING(inbox[0]) : (QUEUED(k, 1) -> IS_WAITING(inbox[1]) : \
    (QUEUED(k, 2) -> IS_WAITING(inbox[2]) : IS_WAITING(inbox[3]))))
#endif
#ifdef SWEEP_OVER_EVENTS
#define IS_DUE(k) (parked[k] && !QUEUE_IS_EMPTY(k) && HEAD_WAITS(k))
#else                                     /* over the parked keys, so that an empty one never stays */
#define IS_DUE(k) (parked[k] && (QUEUE_IS_EMPTY(k) || HEAD_WAITS(k)))
#endif

/* The key's first event that waits or is dead; EVENTS where there is none. */
inline find_head(k) {
  head = 0;
  do
  :: head < EVENTS && QUEUED(k, head) -> break
  :: head < EVENTS && !QUEUED(k, head) -> head++
  :: else -> break
  od
}

/* The role's transactions are REPEATABLE READ, and our sessions do not pin READ COMMITTED: the second statement looks at
   the queue as it was when the first one began, before its wait. A lock without a change of the row is no conflict. */
#if defined(REPEATABLE_READ_ROLE) && defined(WITHOUT_PIN)
#define TAKE_SNAPSHOT(k) atomic { CHECK_SESSION; snapshot = (QUEUE_IS_EMPTY(k) -> EVENTS : 0) }
#define LOOK_AT_QUEUE(k) head = snapshot
#else
#define TAKE_SNAPSHOT(k) skip
#define LOOK_AT_QUEUE(k) find_head(k)
#endif

/* A transaction of its own, in three statements: lock, look whether the queue is empty, delete. */
inline hand_back(k) {
#ifdef HAND_BACK_IN_ONE_STATEMENT
  /* DELETE … WHERE NOT EXISTS (the queue): the emptiness is that of the snapshot, before the wait for the lock */
  atomic { CHECK_SESSION; end_transaction(me); in_transaction = in_transaction | BIT(me) };
  atomic {
    (KILLED || HAND_BACK_MAY_LOCK(k)) -> CHECK_SESSION;
    if :: parked[k] -> parked_update[k] = me; parked_pending[k] = DELETED :: else fi
  };
#else
#ifndef WITHOUT_SHARED_LOCKS
  TAKE_SNAPSHOT(k);
  lock_for_hand_back(k);
  if :: !locked -> goto give_up :: else fi;
  atomic { CHECK_SESSION; LOOK_AT_QUEUE(k) };
  if :: head != EVENTS -> goto give_up :: else fi;
#endif
  atomic { CHECK_SESSION; parked_pending[k] = DELETED; parked_update[k] = me };
#endif
  atomic { CHECK_SESSION; commit(me) }
}

#ifdef HAND_BACK_WITH_LAST_EVENT
byte other;
inline hand_back_with_last_event(k) {
  lock_for_hand_back(k);
  atomic {
    CHECK_SESSION; other = 0;
    do
    :: other < EVENTS -> if :: other != head && QUEUED(k, other) -> break :: else fi; other++
    :: else -> break
    od;
    if :: other == EVENTS -> parked_update[k] = me; parked_pending[k] = DELETED :: else fi;
    other = 0
  }
}
#endif

#define WORKED 1
#define FAILED 0
#define IS_POISON 2

proctype RetryParked(byte me) {
  byte key, head, locked, outcome, before;
#if defined(REPEATABLE_READ_ROLE) && defined(WITHOUT_PIN)
  byte snapshot;
#endif
idle:
end_idle:
  if :: IS_DUE(0) -> key = 0 :: IS_DUE(1) -> key = 1 fi;
#ifdef HEAD_READ_BEFORE_LOCK
  atomic { find_head(key) };
  if :: head == EVENTS -> goto idle :: else fi;
  if :: inbox[head] == DEAD -> head = 0; goto idle :: else fi;
#endif
  lock_exclusively(key);
  if :: !locked -> goto give_up :: else fi;
#ifndef HEAD_READ_BEFORE_LOCK
  atomic { CHECK_SESSION; find_head(key) };
#endif
  if
  :: head == EVENTS -> hand_back(key); goto finished
  :: head < EVENTS && inbox[head] == DEAD -> goto give_up
  :: else
  fi;
  before = inbox[head];
  ENTER_HANDLER; UPDATE_DOMAIN;
  atomic {
    CHECK_SESSION; LEAVE_HANDLER;
    if
    :: outcome = WORKED
    :: transients > 0 -> transients--; outcome = FAILED; ROLL_BACK_HANDLER
    :: poisons > 0 -> poisons--; outcome = IS_POISON; ROLL_BACK_HANDLER
    fi
  };
  if
  :: outcome == WORKED ->
     atomic {
       (KILLED || inbox_holder[head] == NOBODY) -> CHECK_SESSION;
       inbox_holder[head] = me; inbox_pending[head] = DONE; effects_pending[me] = BIT(head)
     }
#ifdef HAND_BACK_WITH_LAST_EVENT
     ; hand_back_with_last_event(key)
#endif
  :: else ->
#ifdef ATTEMPT_IN_SECOND_TRANSACTION
     atomic { CHECK_SESSION; end_transaction(me); locked = 0 };   /* the attempt is rolled back, and the lock with it */
#ifndef ATTEMPT_UNCHECKED
     lock_exclusively(key);
     if :: !locked || inbox[head] != before -> goto give_up :: else fi;
#endif
#endif
     atomic {
       (KILLED || inbox_holder[head] == NOBODY) -> CHECK_SESSION;
       in_transaction = in_transaction | BIT(me); inbox_holder[head] = me;
       if
       :: outcome == IS_POISON -> inbox_pending[head] = DEAD
       :: outcome == FAILED && before == WAITING_FRESH -> inbox_pending[head] = WAITING_LAST
       :: outcome == FAILED && before == WAITING_LAST ->
          if :: inbox_pending[head] = EXHAUSTED :: inbox_pending[head] = DEAD fi
       fi
     }
  fi;
  atomic { CHECK_SESSION; commit(me); goto finished };
give_up:
  atomic { CHECK_SESSION; end_transaction(me) };
finished:
lost:
#if defined(REPEATABLE_READ_ROLE) && defined(WITHOUT_PIN)
  snapshot = 0;
#endif
  atomic { head = 0; locked = 0; key = 0; outcome = 0; before = 0; goto idle }
}
