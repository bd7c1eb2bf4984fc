/* The publisher's resume: src/stage/publish.cpp (poll, connect, rebuild, may_go, send, on_report, save),
 * publish_connect.cpp (first_cursor, catch_up) and kafka/tail_scan.cpp, against a broker and a network at their worst.
 *
 * The journal holds trades 1..TRADES: the second goes to partition 1, the others to partition 0. What must hold,
 * whatever happens in whatever order:
 *   - what the filter (position <= last: drop) lets through is each trade of a partition once, in order, without a gap
 *     that `previous` would alarm of;
 *   - when all is acknowledged, the filter has let all through: nothing is lost;
 *   - a duplicate in the raw log only after a producer was killed or rebuilt with requests in flight.
 * Each #ifdef leaves a rule out. run.py says what must then be found. */

#ifndef TRADES
#define TRADES 4
#endif
#ifndef ENDS
#define ENDS 2          /* kills of the process and rebuilds of the producer, together */
#endif
#define REQUESTS 3      /* that exist at a time: of the living producer, and of dead ones on their way */
#define LOG 9
#define PRODUCERS (ENDS + 1)

#define partition_of(t) ((t) == 2 -> 1 : 0)
#define behind_in_partition(t) ((t) == 1 -> 3 : (t) + 1)
#define larger(a, b) ((a) > (b) -> (a) : (b))

/* The broker. */
byte log_[2 * LOG];
byte end_[2];
byte expected[2 * PRODUCERS];  /* next sequence of a producer in a partition, + 1; 0 = it does not know the producer */

/* The consumer's filter; and whether a duplicate in the raw log can be forgiven. */
byte last[2];
byte highest[2];
bool killed_in_flight;

/* Requests in the order in which they were made, each there until it is acknowledged: by then it may have been sent any
 * number of times. One that the broker has not seen yet may still be waiting in the client, and take one more message. */
byte owner[REQUESTS];          /* its producer + 1; 0 = no request */
byte partition[REQUESTS];
byte sequence[REQUESTS];
byte first[REQUESTS];          /* its messages: this position, and where count is 2 the next one of the partition */
byte count[REQUESTS];
byte previous_of_first[REQUESTS];

/* The publisher, in memory. */
byte producer;                 /* rises by one with each that is made */
bool connected;
bool process_is_new = true;    /* nothing is known but what is on the disk */
byte next = 1;                 /* of the lane */
bool acknowledged[TRADES + 2];
byte previous[2];              /* Flight: of the next message's header */
byte in_flight[2];
bool opened[2];                  /* the first message of this producer is acknowledged */
byte next_sequence[2];
byte offset[2];                /* PartitionCursor */
byte last_acknowledged[2];
byte settled;
byte ends;

/* On the disk. */
bool saved;
bool journal_is_new = true;
byte saved_settled;
byte saved_offset[2];
byte saved_last[2];

/* Scratch; 0 between steps. */
byte r, p, i, found;

/* One message into the log, and through the filter of whoever reads it. */
inline append(position, previous_position) {
  assert(end_[p] < LOG);
  log_[p * LOG + end_[p]] = position;
  end_[p]++;
#ifdef RAW_LOG_IS_EXACT
  assert(position > highest[p]);
#endif
  assert(position > highest[p] || killed_in_flight);
  highest[p] = larger(highest[p], position);
  if
  :: position <= last[p]
  :: else ->
     assert(previous_position == last[p]);
     assert(position == (last[p] == 0 -> 1 + p : behind_in_partition(last[p])));
     last[p] = position
  fi
}

/* Lane::settle() */
inline settle() {
  do
  :: settled < TRADES && acknowledged[settled + 1] -> settled++
  :: else -> break
  od
}

/* on_report of each of its messages, delivered. */
inline report_delivered() {
  acknowledged[first[r]] = true;
  i = first[r];
  if
  :: count[r] == 2 -> i = behind_in_partition(i); acknowledged[i] = true
  :: else
  fi;
  in_flight[p] = in_flight[p] - count[r];
  opened[p] = true;
  last_acknowledged[p] = larger(last_acknowledged[p], i);
  i = 0;
  settle()
}

#define copy_request(to, from) owner[to] = owner[from]; partition[to] = partition[from]; sequence[to] = sequence[from]; \
  first[to] = first[from]; count[to] = count[from]; previous_of_first[to] = previous_of_first[from]

inline clear_request() {
  do
  :: r < REQUESTS - 1 -> copy_request(r, r + 1); r++
  :: else -> break
  od;
  owner[r] = 0; partition[r] = 0; sequence[r] = 0; first[r] = 0; count[r] = 0; previous_of_first[r] = 0
}

/* What is common to a kill and a rebuild: the producer is gone, its requests are on their way or are lost. */
inline end_producer() {
  killed_in_flight = killed_in_flight || in_flight[0] + in_flight[1] > 0;
  ends++;
  producer++;
  connected = false;
  p = 0;
  do
  :: p < 2 ->
     in_flight[p] = 0; opened[p] = false;
     next_sequence[p] = 0;
#ifndef PREVIOUS_OF_WHAT_WAS_SENT
     previous[p] = 0;
#endif
     p++
  :: else -> p = 0; break
  od
}

inline end_process() {
  end_producer();
  process_is_new = true;
  settled = 0; next = 1;
  do
  :: p < 2 -> offset[p] = 0; last_acknowledged[p] = 0; previous[p] = 0; p++
  :: else -> p = 0; break
  od;
  for (i : 1 .. TRADES) { acknowledged[i] = false }
  i = 0
}

/* connect_cluster(): the state, or the ends of the topics where the journal is new. */
inline load_cursor() {
  if
  :: saved ->
     settled = saved_settled;
     offset[0] = saved_offset[0]; offset[1] = saved_offset[1];
     last_acknowledged[0] = saved_last[0]; last_acknowledged[1] = saved_last[1]
  :: else ->
     if
#ifdef ENDS_TAKEN_AGAIN
     :: true -> offset[0] = end_[0]; offset[1] = end_[1]
#else
     :: journal_is_new -> offset[0] = end_[0]; offset[1] = end_[1]
     :: else -> skip /* from the beginning of the partitions */
#endif
     fi;
#ifndef ENDS_NOT_SAVED
     saved = true;
     saved_offset[0] = offset[0]; saved_offset[1] = offset[1]
#endif
  fi;
  next = settled + 1;
  for (i : 1 .. TRADES) { acknowledged[i] = (i <= settled) }
  i = 0;
  process_is_new = false
}

/* catch_up(): forward from the cursor's offset to the end. */
inline scan(which) {
#ifndef NO_SCAN
  p = which;
  found = 0;
  i = offset[p];
  do
  :: i < end_[p] -> found = larger(found, log_[p * LOG + i]); i++
  :: else -> break
  od;
  i = 0;
#ifdef FOUND_IN_ANY_PARTITION
  last_acknowledged[0] = larger(last_acknowledged[0], found);
  last_acknowledged[1] = larger(last_acknowledged[1], found);
#else
  last_acknowledged[p] = larger(last_acknowledged[p], found);
#endif
  offset[p] = end_[p];
  found = 0;
  p = 0
#else
  skip
#endif
}

/* send(): the message goes into a request of its own, or into the one before it. */
inline produce(into) {
  p = partition_of(next);
  r = into;
  if
  :: owner[r] == 0 ->
     owner[r] = producer + 1;
     partition[r] = p;
     sequence[r] = next_sequence[p];
     first[r] = next;
     count[r] = 1;
     previous_of_first[r] = previous[p]
  :: else -> count[r]++
  fi;
  next_sequence[p]++;
  previous[p] = next;
  in_flight[p]++;
#ifdef LAST_OF_WHAT_WAS_SENT
  last_acknowledged[p] = larger(last_acknowledged[p], next);
#endif
  next++;
  r = 0; p = 0
}

#define unsent (next <= TRADES && !acknowledged[next])
#define is_there (next <= TRADES && (acknowledged[next] || next <= previous[partition_of(next)]))
#ifdef FIRST_NOT_ALONE
#define may_go true
#else
#define may_go (opened[partition_of(next)] || in_flight[partition_of(next)] == 0)
#endif
#define is_free(x) (owner[x] == 0 && ((x) == 0 || owner[(x) - 1] != 0))
#define takes_more(x) (living(x) && partition[x] == partition_of(next) && count[x] == 1 && !behind(x) && \
                       sequence[x] + 1 == next_sequence[partition[x]])
#define living(x) (connected && owner[x] == producer + 1)
#define in_sequence(x) (expected[2 * (owner[x] - 1) + partition[x]] == 0 || \
                        expected[2 * (owner[x] - 1) + partition[x]] == sequence[x] + 1)
#define behind(x) (expected[2 * (owner[x] - 1) + partition[x]] > sequence[x] + 1)

/* A request reaches the leader, in any order: what overtakes it does so because it was lost or answered NOT_LEADER, and
 * is sent again; that changes nothing by itself, nor does a refusal for being out of sequence. */
inline arrive(x, heard) {
  r = x;
  p = partition[r];
  if
  :: in_sequence(r) ->
     append(first[r], previous_of_first[r]);
     if
     :: count[r] == 2 -> append(behind_in_partition(first[r]), first[r])
     :: else
     fi;
     expected[2 * (owner[r] - 1) + p] = sequence[r] + count[r] + 1;
     i = end_[p]
  :: else -> i = 0 /* taken for a duplicate, of which the broker need not know where it is */
  fi;
  if
  :: living(r) && heard -> offset[p] = larger(offset[p], i); report_delivered(); clear_request()
  :: living(r) && !heard /* the acknowledgement is lost */
  :: else -> clear_request()
  fi;
  r = 0; p = 0; i = 0
}

active proctype World() {
  do
  /* The publisher starts, scans, makes a producer. That late requests arrive after its scan, or after the scan of one
   * partition, makes no difference to their arriving when it is connected and has sent nothing yet. */
  :: d_step { !connected ->
       if
       :: process_is_new -> load_cursor()
       :: else
       fi;
       scan(0); scan(1);
#ifdef PREVIOUS_OF_WHAT_WAS_SENT
       previous[0] = larger(previous[0], last_acknowledged[0]); previous[1] = larger(previous[1], last_acknowledged[1]);
#else
       previous[0] = last_acknowledged[0]; previous[1] = last_acknowledged[1];
#endif
       next = settled + 1;
       connected = true
     }

  /* It sends. */
  :: d_step { connected && is_there -> acknowledged[next] = true; next++; settle(); i = 0 }
  :: d_step { connected && unsent && !is_there && may_go && is_free(0) -> produce(0) }
  :: d_step { connected && unsent && !is_there && may_go && is_free(1) -> produce(1) }
  :: d_step { connected && unsent && !is_there && may_go && is_free(2) -> produce(2) }
  :: d_step { connected && unsent && !is_there && may_go && takes_more(0) -> produce(0) }
  :: d_step { connected && unsent && !is_there && may_go && takes_more(1) -> produce(1) }
  :: d_step { connected && unsent && !is_there && may_go && takes_more(2) -> produce(2) }

  /* It saves its cursor. */
  :: d_step { connected ->
       saved = true;
#ifdef CURSOR_BEFORE_ACKNOWLEDGEMENT
       saved_settled = next - 1;
#else
       saved_settled = settled;
#endif
       saved_offset[0] = offset[0]; saved_offset[1] = offset[1];
       saved_last[0] = last_acknowledged[0]; saved_last[1] = last_acknowledged[1]
     }

  /* The broker and the network. */
  :: d_step { owner[0] != 0 && (in_sequence(0) || behind(0)) -> arrive(0, true) }
  :: d_step { living(0) && in_sequence(0) -> arrive(0, false) }
  :: d_step { owner[0] != 0 && !living(0) -> r = 0; clear_request(); r = 0 }
  :: d_step { owner[1] != 0 && (in_sequence(1) || behind(1)) -> arrive(1, true) }
  :: d_step { living(1) && in_sequence(1) -> arrive(1, false) }
  :: d_step { owner[1] != 0 && !living(1) -> r = 1; clear_request(); r = 0 }
  :: d_step { owner[2] != 0 && (in_sequence(2) || behind(2)) -> arrive(2, true) }
  :: d_step { living(2) && in_sequence(2) -> arrive(2, false) }
  :: d_step { owner[2] != 0 && !living(2) -> r = 2; clear_request(); r = 0 }
#ifdef AN_HOUR_OF_SILENCE
  :: d_step { connected && in_flight[0] == 0 && expected[2 * producer] != 0 ->
       expected[2 * producer] = 0;
#ifndef NOT_ALONE_AFTER_SILENCE
       opened[0] = false
#endif
     }
#endif

  /* A kill, at any instant; an error of the producer. */
  :: d_step { ends < ENDS -> end_process(); journal_is_new = false }
  :: d_step { ends < ENDS && connected -> end_producer(); i = 0 }

  :: connected && settled == TRADES -> break
  od;
  assert(last[0] == TRADES && last[1] == 2)
}
