/* Model of the consumer: positions, inbox, parked keys and their retry, operators and replay. README.md names the rules.

   Left to chance: every interleaving (a frozen process takes no step), which handler fails, kills, rebalances, what an
   operator does. There is no time: a waiting head is always due, and a lock time-out is a kill. */
#include "bounds.pml"
#include "database.pml"

byte transients = TRANSIENT; byte poisons = POISON; byte kills = KILLS; byte rebalances = REBALANCES;
byte actions = ACTIONS;

#include "log_changes.pml"
#include "statements.pml"
#include "worker.pml"
#include "retry_parked.pml"
#include "operators.pml"
#include "environment.pml"

init {
  atomic {
    fill_log();
    run Worker(1);
#if WORKERS > 1
    run Worker(2);
#endif
    run RetryParked(3);
#if RETRIERS > 1
    run RetryParked(4);
#endif
#if ACTIONS > 0
    run Operator();
#endif
#ifdef REPLAY
    run Replay();
#endif
#if LOG == TWO_TOPICS
    run OtherTopic();
#endif
#ifdef LOG_CHANGES
    run Reset();
#endif
    run Environment();
    run LookAtTheEnd()
  }
}
