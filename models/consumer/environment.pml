/* What happens around the processes: rebalances, kills, a failover that loses commits; and the look at the end. */

#ifdef FAILOVER
/* A standby that misses the last commits: the committed state at one moment comes back at a later one. */
byte failovers; byte kept_position; byte kept_inbox[EVENTS]; bool kept_parked[KEYS];
byte kept_effects; byte kept_failure_answers; byte kept_skips;

inline keep_state() { byte y;
  d_step {
    kept_position = position; kept_effects = effects; kept_failure_answers = failure_answers; kept_skips = skips;
    y = 0; do :: y < EVENTS -> kept_inbox[y] = inbox[y]; y++ :: else -> break od;
    y = 0; do :: y < KEYS -> kept_parked[y] = parked[y]; y++ :: else -> break od;
    y = 0
  }
}

inline fail_over() { byte z;
  d_step {
    killed = killed | in_transaction;
    z = 1; do :: z < PROCESSES -> end_transaction(z); z++ :: else -> break od;
    position = kept_position; effects = kept_effects; failure_answers = kept_failure_answers; skips = kept_skips;
    z = 0; do :: z < EVENTS -> inbox[z] = kept_inbox[z]; z++ :: else -> break od;
    z = 0; do :: z < KEYS -> parked[z] = kept_parked[z]; z++ :: else -> break od;
    z = 0
  }
}
#endif

proctype Environment() { byte victim;
end_environment:
  do
  :: atomic { rebalances > 0 -> rebalances--; owner = 3 - owner; generation++ }
  :: atomic { rebalances > 0 -> rebalances = 0 }
  :: atomic {
       kills > 0 && in_transaction -> kills--;
       if
       :: in_transaction & BIT(1) -> victim = 1
       :: in_transaction & BIT(2) -> victim = 2
       :: in_transaction & BIT(3) -> victim = 3
       :: in_transaction & BIT(4) -> victim = 4
       :: in_transaction & BIT(OPERATOR) -> victim = OPERATOR
       :: in_transaction & BIT(REPLAYING) -> victim = REPLAYING
       :: in_transaction & BIT(OTHER_WORKER) -> victim = OTHER_WORKER
       fi;
       killed = killed | BIT(victim); end_transaction(victim); victim = 0
     }
  :: atomic { kills > 0 -> kills = 0 }
#ifdef LOG_CHANGES
  :: CHANGE_LOG
  :: LET_LOG_GROW
#endif
#ifdef FAILOVER
  :: atomic { failovers == 0 -> failovers = 1; keep_state() }
  :: atomic { failovers == 1 -> failovers = 2; fail_over() }
  :: atomic { failovers < 2 -> failovers = 2 }
#endif
  od
}

/* Nothing can move any more: nobody waits for a lock, every event of the log has an outcome, every queue is drained. */
proctype LookAtTheEnd() {
  byte x, y; bool blocked;
end_look:
  timeout ->
  d_step {
    MUST(no_deadlock, in_transaction == 0);
#ifdef LOG_CHANGES
    position_log = log_now;
    x = (stopped -> LOG_END : 0);          /* the operators see the stop */
#else
    x = GROUP_BEGINS_AT;
#endif
    do
    :: x < LOG_END -> MUST(P2_no_event_is_passed_over, inbox[POSITION_RECORD(x)] != NONE); x++
    :: else -> break
    od;
    x = 0;
    do
    :: x < EVENTS ->
       if
       :: IS_WAITING(inbox[x]) ->         /* only behind a dead event of its key */
          MUST(every_queue_is_drained, parked[KEY(x)]);
          blocked = 0; y = 0;
          do
          :: y < x -> if :: KEY(y) == KEY(x) && inbox[y] == DEAD -> blocked = 1 :: else fi; y++
          :: else -> break
          od;
          MUST(every_queue_is_drained, blocked)
       :: inbox[x] == DONE -> MUST(P3_applied_once, effects & BIT(x))
       :: inbox[x] == DEAD -> MUST(every_queue_is_drained, parked[KEY(x)])
       :: else
       fi;
       x++
    :: else -> break
    od;
    x = 0;
    do
    :: x < KEYS -> MUST(every_queue_is_drained, !parked[x] || !QUEUE_IS_EMPTY(x)); x++
    :: else -> break
    od
  }
}
