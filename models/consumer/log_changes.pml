/* A log that is another one under the same name: a topic made again, or a disk of a minute ago.

   Metadata is as fresh as the records that a poll gives. An operator moves the group to the log's start, once. */
#ifndef LOG_CHANGES
#define HAS_MOVED_FROM(offset) (position != (offset))
#define POSITION_HAS_MOVED (fetch != position)
#define MAY_READ(offset, id, log) true
#else
byte changes = 1; byte resets = 1;

#ifdef WITHOUT_TOPIC_ID
#define TOPIC_ID 0
#else
#define TOPIC_ID (LOG == MADE_AGAIN -> log_now : 0)
#endif
#ifdef WITHOUT_EPOCH       /* the leader epoch of the last record read: the broker tells where that epoch ended */
#define DIVERGES(offset, log) 0
#else
#define DIVERGES(offset, log) (LOG == CUT && log_now > (log) && (offset) > 1)
#endif
#define IS_ANOTHER_LOG(offset, id, log) ((id) != TOPIC_ID || (offset) > log_end || DIVERGES(offset, log))

#ifdef STOP_CURES_ITSELF   /* a stopped partition is tried again, and goes on once the log has grown */
#define IS_STOPPED 0
#else
#define IS_STOPPED stopped
#endif
#define MAY_READ(offset, id, log) (!IS_STOPPED && !IS_ANOTHER_LOG(offset, id, log))

#ifdef COMPARE_OFFSET_ONLY
#define HAS_MOVED_FROM(offset) (position != (offset))
#define POSITION_HAS_MOVED (fetch != position)
#else
#define HAS_MOVED_FROM(offset) (position != (offset) || position_id != fetch_id || IS_STOPPED)
#define POSITION_HAS_MOVED (fetch != position || fetch_id != position_id)
#endif

#define CHANGE_LOG \
  atomic { \
    changes > 0 && MAY_CHANGE -> changes = 0; \
    if :: log_now = 1; log_end = (LOG == CUT -> 1 : 0) :: true fi \
  }
#ifdef LOOKED_IN_TIME      /* a worker at rest has looked before the log grows past its position */
#define MAY_CHANGE (in_transaction == 0 && position == log_end)
#define MAY_GROW (stopped || position <= 1)
#else
#define MAY_CHANGE true
#define MAY_GROW true
#endif
#define LET_LOG_GROW \
  atomic { log_now == 1 && log_end < (LOG == CUT -> 3 : 2) && MAY_GROW -> log_end++ }

/* reset_consumer_offsets: the group goes to the start of the log that is there now. */
proctype Reset() {
end_reset:
  atomic {
    resets > 0 && stopped && position_holder == NOBODY ->
    resets = 0; stopped = 0; position = 0; position_id = TOPIC_ID; position_log = log_now
  }
}
#endif
