/* The bounds of one run, each set by -DNAME=number; and the log: what an offset holds, which events share a key. */
#ifndef TRANSIENT
#define TRANSIENT 2        /* transient failures that handlers may raise, in all */
#endif
#ifndef POISON
#define POISON 0           /* events that a handler cannot handle, in all */
#endif
#ifndef KILLS
#define KILLS 1            /* sessions or processes killed inside a transaction */
#endif
#ifndef REBALANCES
#define REBALANCES 1
#endif
#ifndef ACTIONS
#define ACTIONS 0          /* an operator's retries and skips */
#endif
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef RETRIERS
#define RETRIERS 1           /* timers that retry parked keys */
#endif
#ifndef POLL
#define POLL 3             /* most records of one poll; a poll gives one, or so many */
#endif
#ifndef GROUP_BEGINS_AT
#define GROUP_BEGINS_AT 0  /* first offset of the live group; replay covers what is before it */
#endif

#define ONE_KEY 1          /* A1 A2 A3 */
#define TWO_KEYS 2         /* A1 B1 A1 A2: event A1 stands twice in the log */
#define TWO_KEYS_LONG 3    /* A1 A2 B1 A1 A3 */
#define TWO_TOPICS 4       /* A1 A2 here, and an event of the same key on another topic with its own position */
#define MADE_AGAIN 5       /* A1 A2; the topic is deleted and made again, and holds B1 B2 then */
#define CUT 6              /* A1 A2; the broker comes back with its disk of after A1, and writes B1 B2 behind that */
#ifndef LOG
#define LOG TWO_KEYS
#endif
#if LOG == MADE_AGAIN || LOG == CUT
#define LOG_CHANGES
#endif

/* An event is a number, ascending by first occurrence. IN_BATCH: it stands in the offsets from `first` up to `end`. */
#define AT(offset) (first <= (offset) && end > (offset))
#if LOG == ONE_KEY
#define EVENTS 3
#define LOG_LENGTH 3
#define KEY(event) 0
#define IN_BATCH(event) AT(event)
#elif LOG == TWO_KEYS
#define EVENTS 3
#define LOG_LENGTH 4
#define KEY(event) ((event) == 1)
#define IN_BATCH(event) \
  (((AT(0) || AT(2)) && (event) == 0) || (AT(1) && (event) == 1) || (AT(3) && (event) == 2))
#elif LOG == TWO_KEYS_LONG
#define EVENTS 4
#define LOG_LENGTH 5
#define KEY(event) ((event) == 2)
#define IN_BATCH(event) \
  (((AT(0) || AT(3)) && (event) == 0) || (AT(1) && (event) == 1) || (AT(2) && (event) == 2) || (AT(4) && (event) == 3))
#elif defined(LOG_CHANGES)
#define EVENTS 4
#define LOG_LENGTH 3
#define KEY(event) ((event) > 1)
#define IN_BATCH(event) \
  ((AT(0) && (event) == RECORD(0)) || (AT(1) && (event) == RECORD(1)) || (AT(2) && (event) == RECORD(2)))
#else
#define EVENTS 3
#define LOG_LENGTH 2
#define KEY(event) 0
#define IN_BATCH(event) ((event) < 2 && AT(event))
#endif

#ifdef LOG_CHANGES
#define LOGS 2
#define RECORD(offset) record[(offset) + of_log * LOG_LENGTH]           /* in the log that the batch was read from */
#define POSITION_RECORD(offset) record[(offset) + position_log * LOG_LENGTH]
#else
#define LOGS 1
#define RECORD(offset) record[offset]
#define POSITION_RECORD(offset) record[offset]
#define LOG_END LOG_LENGTH
#endif

#if LOG == TWO_TOPICS
#define OF_OTHER_TOPIC(event) ((event) == 2)
#else
#define OF_OTHER_TOPIC(event) 0
#endif
#define KEYS 2
#define UNUSED 254

byte record[LOG_LENGTH * LOGS];

inline fill_log() {
#if LOG == ONE_KEY
  record[0] = 0; record[1] = 1; record[2] = 2
#elif LOG == TWO_KEYS
  record[0] = 0; record[1] = 1; record[2] = 0; record[3] = 2
#elif LOG == TWO_KEYS_LONG
  record[0] = 0; record[1] = 1; record[2] = 2; record[3] = 0; record[4] = 3
#elif LOG == MADE_AGAIN
  record[0] = 0; record[1] = 1; record[2] = UNUSED; record[3] = 2; record[4] = 3; record[5] = UNUSED
#elif LOG == CUT
  record[0] = 0; record[1] = 1; record[2] = UNUSED; record[3] = 0; record[4] = 2; record[5] = 3
#else
  record[0] = 0; record[1] = 1
#endif
}
