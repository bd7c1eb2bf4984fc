/* The journal over kills and losses of power: src/journal/writer.cpp (release, make_room, start), helper.cpp (sync,
 * checkpoint, retain), recovery.cpp (all of it), cursors.cpp, and reader.cpp as a reader of another process, which
 * verifies.
 *
 * A segment's pages lie across its records: the commit word and header of record k are on page k, its payload on page
 * k + 1. After a loss of power each page that was not synced is as it was on the disk (zeros, where it never was) or
 * as it was in memory. A checksum holds where header and payload are of one record. (The order of the writer's stores: commit.pml.)
 *
 * What must hold after each recovery, for a reader that begins at the oldest record: it finds, in order, what was
 * committed: all of it after a kill, after a loss of power at least what a checkpoint said was synced, never a wrong
 * record, and it does not get stuck before the new segment. No position is given away twice, not even one that a loss of
 * power took back: Kafka may have its trade. What a durable cursor has not passed is not deleted.
 * Each #ifdef leaves a rule out. run.py says what must then be found. */

#ifndef ENDS
#define ENDS 3          /* kills and losses of power */
#endif
#ifndef RECORDS
#define RECORDS 4
#endif
#define SEGMENTS 6
#define SLOTS 2         /* records of a segment; the roll record comes behind them */
#define PAGES (SLOTS + 2)

/* A record is known by its position: epoch << 3 | sequence. */
#define ROLL 255
#define page(s, k) ((s) * PAGES + (k))
#define larger(a, b) ((a) > (b) -> (a) : (b))

/* Pages as the page cache has them, and the disk: the header of record k, the payload of record k - 1. */
byte header[SEGMENTS * PAGES];
byte payload[SEGMENTS * PAGES];
byte disk_header[SEGMENTS * PAGES];
byte disk_payload[SEGMENTS * PAGES];

/* A segment's head, a page of its own. 0 = not begun. */
byte boot_of[SEGMENTS];
byte epoch_of[SEGMENTS];
byte position_before[SEGMENTS];
bool head_unsynced[SEGMENTS];
byte oldest;                    /* those before it were deleted by retention */

byte checkpoint_segment;
byte checkpoint_slot;

byte boot = 1;
byte ends;

/* The writer, and what it does to open the journal. */
mtype = { off, found_it, closed_earlier, begun, head_synced, closed_last, at_work, rolling };
mtype doing = off;
byte current;
byte slot;
byte next_position;
byte last_position;
bool unclosed[SEGMENTS];
byte end_of[SEGMENTS];
byte records;

/* Its helper. */
byte syncing;
bool durable;                   /* a boundary is, and no checkpoint says so yet */
byte boundary_segment;
byte boundary_slot;
byte boundary_count;

/* What was committed and not lost again, in order; how much of it the checkpoint covers; every position given away. */
byte committed[RECORDS + 1];
byte committed_count;
byte synced_count;
bool given[(ENDS + 2) * 8];

/* A reader with a durable cursor. */
byte passed;
byte cursor;

/* Scratch; 0 between steps. */
byte i, k, s, position, expected, highest_epoch;
bool is_closed, is_bad, rebooted, cut;

inline sync_pages(segment, pages) {
  k = 0;
  do
  :: k < pages -> disk_header[page(segment, k)] = header[page(segment, k)];
                  disk_payload[page(segment, k)] = payload[page(segment, k)]; k++
  :: else -> break
  od;
  head_unsynced[segment] = false;
  k = 0
}

/* begin_walk(), go_on(). Leaves k at the end, `position` of the last record, `expected` of the next. */
inline walk(segment, verify) {
  position = position_before[segment];
  expected = (position >> 3 == epoch_of[segment] -> position + 1 : (epoch_of[segment] << 3) + 1);
  is_closed = false; is_bad = false;
  k = 0;
  do
  :: header[page(segment, k)] == 0 -> break
  :: header[page(segment, k)] == ROLL -> is_closed = true; break
  :: else ->
     if
     :: k == SLOTS || header[page(segment, k)] != expected -> is_bad = true
     :: else -> is_bad = (verify && payload[page(segment, k + 1)] != expected)
     fi;
     if
     :: is_bad -> break
     :: else -> position = expected; expected++; k++
     fi
  od
}

inline remove(segment) {
  boot_of[segment] = 0; epoch_of[segment] = 0; position_before[segment] = 0; head_unsynced[segment] = false;
  unclosed[segment] = false; end_of[segment] = 0;
  k = 0;
  do
  :: k < PAGES -> header[page(segment, k)] = 0; payload[page(segment, k)] = 0;
                  disk_header[page(segment, k)] = 0; disk_payload[page(segment, k)] = 0; k++
  :: else -> break
  od;
  k = 0
}

inline remove_from(segment) {
  s = segment;
  do
  :: s < SEGMENTS -> remove(s); s++
  :: else -> break
  od;
  s = 0
}

/* Recoverer::run() */
inline recover() {
  /* The last head that there is. */
  current = SEGMENTS - 1;
  do
  :: boot_of[current] == 0 -> assert(current > oldest); current-- /* else: another journal, by its id */
  :: else -> break
  od;
  rebooted = (boot_of[current] != boot);
  highest_epoch = epoch_of[current];
  /* One before it that is lost: the journal ends there. */
  i = oldest;
  do
  :: boot_of[i] != 0 && i < current -> i++
  :: else -> break
  od;
  cut = false;
  if
  :: boot_of[i] == 0 ->
     assert(rebooted && i > checkpoint_segment);
#ifdef LOST_HEADS_REFUSED
     assert(false);
#endif
     current = i - 1;
     cut = true
  :: else
  fi;
  i = 0;
  remove_from(current + 1);
#ifdef EPOCH_OF_WHAT_IS_LEFT
  highest_epoch = epoch_of[current];
#endif
  /* Which to walk. */
  if
  :: rebooted -> i = larger(oldest, checkpoint_segment)
  :: else -> i = (current > oldest -> current - 1 : current)
  fi;
  if
  :: i > current -> i = current
  :: else
  fi;
  do
  :: i <= current ->
#if defined(NOT_VERIFIED)
     walk(i, false);
#elif defined(TRUSTED_AFTER_A_KILL)
     walk(i, rebooted);
#else
     walk(i, boot_of[i] != boot);
#endif
     if
     /* Where the next one goes on, a bad record was cut off already by a recovery that was killed. */
#ifdef CUT_AGAIN
     :: i < current && !is_bad && position == position_before[i + 1] -> skip
#else
     :: i < current && position == position_before[i + 1] -> skip
#endif
     :: i == current && !is_bad -> cut = cut || is_closed
     :: else ->
        assert(rebooted || i == current);  /* nothing is damaged here but by a loss of power */
        cut = true;
        end_of[i] = k;
        current = i
     fi;
     unclosed[i] = !is_closed;
     end_of[i] = (is_closed -> 0 : k);
     i++
  :: else -> break
  od;
  remove_from(current + 1);
  last_position = position;
  /* What is left of what was committed. */
  i = committed_count;
  do
  :: i > 0 && committed[i - 1] != position -> i--
  :: else -> break
  od;
  assert(position == 0 || i > 0);          /* a record that nobody committed */
  assert(rebooted || i == committed_count); /* kill: all of it */
  assert(i >= synced_count);                /* loss of power: what was synced */
  do
  :: committed_count > i -> committed_count--; committed[committed_count] = 0
  :: else -> break
  od;
#ifdef EPOCH_NOT_RAISED
  next_position = expected;
#else
  next_position = (rebooted || cut -> ((highest_epoch + 1) << 3) + 1 : expected);
#endif
  i = 0; k = 0; position = 0; expected = 0; highest_epoch = 0; is_closed = false; is_bad = false; rebooted = false; cut = false
}

inline begin(segment) {
  boot_of[segment] = boot;
  epoch_of[segment] = next_position >> 3;
  position_before[segment] = last_position;
  head_unsynced[segment] = true
}

inline close_segment(segment, at) {
  header[page(segment, at)] = ROLL;
  unclosed[segment] = false; end_of[segment] = 0
}

/* A reader that verifies all, from the oldest record on; and one that goes on behind its cursor. */
inline read_all() {
  assert(position_before[oldest] <= cursor);  /* else: retention took what it still wanted */
  i = 0;
  do
  :: i < committed_count && committed[i] <= position_before[oldest] -> i++
  :: else -> break
  od;
  s = oldest;
  do
  :: s <= current ->
     walk(s, true);
     assert(!is_bad);                          /* else: it stops at damage */
     assert(is_closed || s == current);        /* else: it waits for ever for a record here */
     assert(s == current || position_before[s + 1] == position);
     k = 0;
     do
     :: header[page(s, k)] != 0 && header[page(s, k)] != ROLL ->
        assert(i < committed_count && committed[i] == header[page(s, k)]);
        i++; k++
     :: else -> break
     od;
     s++
  :: else -> break
  od;
  assert(i == committed_count);
  s = 0; i = 0; k = 0; position = 0; expected = 0; is_closed = false; is_bad = false
}

inline forget() {
  doing = off; current = 0; slot = 0; next_position = 0; last_position = 0; syncing = 0; durable = false;
  boundary_segment = 0; boundary_slot = 0; boundary_count = 0;
  for (i : 0 .. SEGMENTS - 1) { unclosed[i] = false; end_of[i] = 0 }
  passed = cursor;
  i = 0
}

#define pages_differ(q) (header[q] != disk_header[q] || payload[q] != disk_payload[q])

active proctype World() {
  /* A journal that was begun, and its first head synced. */
  d_step { boot_of[0] = 1; epoch_of[0] = 1 }
  do
  /* Writer::open(), a kill or a loss of power possible between any two steps. */
  :: d_step { doing == off -> recover(); doing = found_it }
  :: d_step { doing == found_it ->
       /* Those that have a next one first: whenever we are killed, no more than the last two lack their end. */
#ifndef CLOSED_ONLY_AFTERWARDS
       for (i : 0 .. SEGMENTS - 2) {
         if
         :: i < current && unclosed[i] -> close_segment(i, end_of[i])
         :: else
         fi
       }
       i = 0;
#endif
       doing = closed_earlier
     }
  :: d_step { doing == closed_earlier -> assert(current + 1 < SEGMENTS); begin(current + 1); doing = begun }
  :: d_step { doing == begun ->
#ifndef HEAD_NOT_SYNCED
       sync_pages(current + 1, 1);
#endif
       doing = head_synced
     }
  :: d_step { doing == head_synced ->
       for (i : 0 .. SEGMENTS - 2) {
         if
         :: unclosed[i] -> close_segment(i, end_of[i])
         :: else
         fi
       }
       i = 0;
       doing = closed_last
     }
  :: d_step { doing == closed_last ->
#ifndef LEFT_UNSYNCED
       i = oldest;
       do
       :: i <= current -> sync_pages(i, PAGES); i++
       :: else -> break
       od;
       i = 0;
#endif
       current++;
       slot = 0;
       syncing = current;
       doing = at_work;
       read_all()
     }

  /* commit() */
  :: d_step { doing == at_work && slot < SLOTS && records < RECORDS && committed_count < RECORDS ->
       header[page(current, slot)] = next_position;
       payload[page(current, slot + 1)] = next_position;
       assert(!given[next_position]);          /* Kafka may have another trade of this position */
       given[next_position] = true;
       committed[committed_count] = next_position;
       committed_count++; records++; slot++;
       last_position = next_position;
       next_position++
     }
  /* make_room() */
  :: d_step { doing == at_work && slot == SLOTS && records < RECORDS && current + 1 + ENDS - ends < SEGMENTS ->
       begin(current + 1);
       doing = rolling
     }
  :: d_step { doing == rolling -> close_segment(current, slot); current++; slot = 0; doing = at_work }

  /* Helper::sync(): what the pen has left, or, where it lingers, the page under it too. */
  :: d_step { doing == at_work && !durable && slot > 0 ->
#ifndef CHECKPOINT_BEFORE_SYNC
       i = syncing;
       do
       :: i < current -> sync_pages(i, PAGES); i++
       :: else -> break
       od;
       sync_pages(current, slot);
#endif
       i = 0;
       syncing = current;
       durable = true; boundary_segment = current; boundary_slot = slot - 1; boundary_count = committed_count - 1
     }
  :: d_step { doing == at_work && !durable ->
#ifndef CHECKPOINT_BEFORE_SYNC
       i = syncing;
       do
       :: i < current -> sync_pages(i, PAGES); i++
       :: else -> break
       od;
       sync_pages(current, slot + 1);
#endif
       i = 0;
       syncing = current;
       durable = true; boundary_segment = current; boundary_slot = slot; boundary_count = committed_count
     }
  :: d_step { doing == at_work && durable ->
       checkpoint_segment = boundary_segment; checkpoint_slot = boundary_slot;
       synced_count = boundary_count;
       durable = false; boundary_segment = 0; boundary_slot = 0; boundary_count = 0
     }

  /* A reader passes what is committed; its cursor is saved; retention takes what all cursors have passed. */
  :: d_step { doing == at_work && passed != last_position -> passed = last_position }
  :: d_step { doing == at_work && cursor != passed -> cursor = passed }
  :: d_step { doing == at_work && oldest < current &&
#ifndef DELETED_BEFORE_THE_NEXT_IS_SYNCED
              !head_unsynced[oldest + 1] &&
#endif
#ifdef DELETED_BY_WHAT_IS_NOT_SAVED
              passed >= position_before[oldest + 1] ->
#else
              cursor >= position_before[oldest + 1] ->
#endif
       remove(oldest); oldest++
     }

  :: d_step { ends < ENDS && doing != off -> ends++; forget() }
  :: atomic { ends < ENDS ->
       ends++;
       boot++;
       forget();
       i = 0;
       do
       :: i < SEGMENTS ->
          if
          :: head_unsynced[i] -> remove(i)
          :: true -> head_unsynced[i] = false
          fi;
          i++
       :: else -> break
       od;
       i = 0;
       do
       :: i < SEGMENTS * PAGES ->
          if
          :: pages_differ(i) -> header[i] = disk_header[i]; payload[i] = disk_payload[i]
          :: true -> disk_header[i] = header[i]; disk_payload[i] = payload[i]
          fi;
          i++
       :: else -> break
       od;
       i = 0
     }
  :: doing == at_work && records == RECORDS -> break
  od
}
