/* The database under READ COMMITTED: committed rows, and each transaction's locks and pending writes kept apart. */

/* Processes: 1, 2 workers; 3, 4 retries of parked keys; 5 operator; 6 replay; 7 worker of another topic. */
#define PROCESSES 8
#define NOBODY 0
#define OPERATOR 5
#define REPLAYING 6
#define OTHER_WORKER 7
#define BIT(x) (1 << (x))

/* States of an inbox row. A waiting row has one delayed attempt left, or none. */
#define NONE 0
#define DONE 1
#define WAITING_FRESH 2
#define WAITING_LAST 3
#define DEAD 4
#define SKIPPED 5
#define EXHAUSTED 6
#define IS_WAITING(x) ((x) == WAITING_FRESH || (x) == WAITING_LAST)
#define IN_QUEUE(x) (IS_WAITING(x) || (x) == DEAD)

/* What an assertion stands for: an error of the checker names it. They are never set. */
hidden byte P2_no_event_is_passed_over, P3_applied_once, P3_never_applied_and_failed, P4_order_of_a_key,
            P5_no_wait_behind_a_handler, no_deadlock, every_queue_is_drained;
#define MUST(promise, condition) assert((condition) || promise)

/* Committed. */
byte position = GROUP_BEGINS_AT; byte inbox[EVENTS]; bool parked[KEYS];
#ifdef LOG_CHANGES
/* Which log is there now, how long it is; of the position: its topic's id, the log it was moved in, and a stop. */
byte log_now; byte log_end = 2; byte position_id; byte position_log; byte log_pending; bool stopped;
#define LOG_END log_end
#endif
/* The position row. */
byte position_holder; bool position_moved; byte position_pending;
/* Inbox rows. */
byte inbox_holder[EVENTS]; byte inbox_pending[EVENTS];
/* Parked keys: one holder FOR UPDATE, one FOR NO KEY UPDATE, a mask of holders FOR KEY SHARE. */
#define INSERTED 1
#define DELETED 2
byte parked_update[KEYS]; byte parked_pending[KEYS];
byte parked_no_key_update[KEYS]; byte parked_key_share[KEYS];
/* Transactions within a SELECT … FOR … whose snapshot has seen the row: a mask. */
byte parked_wanted[KEYS];
/* One row of the domain that every handler updates. */
byte domain_holder;
byte effects_pending[PROCESSES];
/* Masks of processes: with an open transaction; killed in one; inside a handler. */
byte in_transaction; byte killed; byte in_handler;
/* What happened, for the assertions: masks of events. */
byte effects; byte failure_answers; byte skips;

#define KILLED (killed & BIT(me))
/* The session was killed: its next statement fails. */
#define CHECK_SESSION \
  if :: KILLED -> killed = killed & ~BIT(me); in_handler = in_handler & ~BIT(me); goto lost :: else fi

inline end_transaction(t) { byte x;
  d_step {
    if :: position_holder == t -> position_holder = NOBODY; position_moved = 0; position_pending = 0 :: else fi;
    x = 0;
    do
    :: x < EVENTS -> if :: inbox_holder[x] == t -> inbox_holder[x] = NOBODY; inbox_pending[x] = NONE :: else fi; x++
    :: else -> break
    od;
    x = 0;
    do
    :: x < KEYS ->
       if :: parked_update[x] == t -> parked_update[x] = NOBODY; parked_pending[x] = 0 :: else fi;
       if :: parked_no_key_update[x] == t -> parked_no_key_update[x] = NOBODY :: else fi;
       parked_key_share[x] = parked_key_share[x] & ~BIT(t); parked_wanted[x] = parked_wanted[x] & ~BIT(t); x++
    :: else -> break
    od;
    if :: domain_holder == t -> domain_holder = NOBODY :: else fi;
    effects_pending[t] = 0; in_transaction = in_transaction & ~BIT(t); in_handler = in_handler & ~BIT(t); x = 0
  }
}

/* A failure answer or a skip excludes an effect of the same event. */
inline commit_inbox(t) {
  c = 0;
  do
  :: c < EVENTS ->
     if
     :: inbox_holder[c] == t -> inbox[c] = inbox_pending[c];
        if
        :: inbox_pending[c] == EXHAUSTED ->
           MUST(P3_never_applied_and_failed, !(effects & BIT(c))); failure_answers = failure_answers | BIT(c)
        :: inbox_pending[c] == SKIPPED -> MUST(P3_never_applied_and_failed, !(effects & BIT(c))); skips = skips | BIT(c)
        :: else
        fi
     :: else
     fi;
     c++
  :: else -> break
  od
}

/* An effect happens once, after the end of every earlier event of its key, and before the effect of a later one. */
inline commit_effects(t) {
  c = 0;
  do
  :: c < EVENTS ->
     if
     :: effects_pending[t] & BIT(c) ->
        MUST(P3_applied_once, !(effects & BIT(c)));
        MUST(P3_never_applied_and_failed, !((failure_answers | skips) & BIT(c)));
        effects = effects | BIT(c);
        d = 0;
        do
        :: d < EVENTS ->
           if
           :: OF_OTHER_TOPIC(c) || OF_OTHER_TOPIC(d) -> skip
           :: d < c && !OF_OTHER_TOPIC(c) && KEY(d) == KEY(c) && d >= GROUP_BEGINS_AT ->
              MUST(P4_order_of_a_key, (effects | failure_answers | skips) & BIT(d))
           :: d > c && !OF_OTHER_TOPIC(d) && KEY(d) == KEY(c) -> MUST(P4_order_of_a_key, !(effects & BIT(d)))
           :: else
           fi;
           d++
        :: else -> break
        od
     :: else
     fi;
     c++
  :: else -> break
  od
}

inline commit_parked(t) {
  c = 0;
  do
  :: c < KEYS ->
     if
     :: parked_update[c] == t && parked_pending[c] == INSERTED -> parked[c] = 1
     :: parked_update[c] == t && parked_pending[c] == DELETED -> parked[c] = 0; parked_wanted[c] = 0
     :: else
     fi;
     c++
  :: else -> break
  od
}

inline commit_position(t) {
  if
  :: position_holder == t && position_moved ->
     position = position_pending;
#ifdef LOG_CHANGES
     position_log = log_pending; log_pending = 0;
#endif
     c = GROUP_BEGINS_AT;
     do
     :: c < position -> MUST(P2_no_event_is_passed_over, inbox[POSITION_RECORD(c)] != NONE); c++
     :: else -> break
     od
  :: else
  fi
}

inline commit(t) { byte c; byte d;
  d_step { commit_inbox(t); commit_effects(t); commit_parked(t); commit_position(t); c = 0; d = 0 }
  end_transaction(t)
}
