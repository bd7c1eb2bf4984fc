/* The journal while it is written, and the same machine's recovery of it: src/journal/writer.cpp (claim, commit,
 * define_symbols, release, make_room, begin, start, close_segment), recovery.cpp (same boot id: walk_segments),
 * reader.cpp (next, cross, map_next).
 *
 * Memory is weak: the writer's stores wait in a buffer and reach memory in any order, but that stores to one place keep
 * theirs and a release store waits for all before it. A kill takes what has reached memory for all that there is, which
 * is more than a kill can do. Readers trust what they read, as those in the writer's process do: what holds without
 * checksums holds with them. One reader follows the links within the process and dies with it; one follows the magic of
 * the files and lives through kills and recoveries.
 *
 * What must hold: a reader finds records whole, in order of positions, none left out, none twice, each symbol defined
 * before its use; a roll record only where the next segment is begun, which goes on where this one ended; recovery finds
 * exactly what was committed; in the end the reader that lived on has seen all that was committed by anybody.
 * Each #ifdef leaves a rule out. run.py says what must then be found. */

#ifndef RECORDS
#define RECORDS 3       /* frames and claims given up, in all lives together */
#endif
#ifndef KILLS
#define KILLS 2
#endif
#define SEGMENTS 5
#define SLOTS 4         /* of a segment: a claim needs two, the roll record one */
#define BUFFER 12

/* Where things lie: a slot has a commit word and a body; what a record of two slots has in the place of the second
 * slot's commit word is payload. */
#define SEGMENT_WORDS (2 * SLOTS + 3)
#define commit_word(s, k) ((s) * SEGMENT_WORDS + 2 * (k))
#define body(s, k) ((s) * SEGMENT_WORDS + 2 * (k) + 1)
#define magic(s) ((s) * SEGMENT_WORDS + 2 * SLOTS)
#define previous_position(s) ((s) * SEGMENT_WORDS + 2 * SLOTS + 1)
#define link(s) ((s) * SEGMENT_WORDS + 2 * SLOTS + 2)

/* What a body says: its position, and what it is. */
#define FRAME 16
#define USES_SYMBOL 32
#define SYMBOL 64
#define ROLL 128
#define GARBAGE 255
#define position_in(b) ((b) & 15)

byte memory[SEGMENTS * SEGMENT_WORDS];

/* The buffer, oldest first. */
byte where[BUFFER];
byte what[BUFFER];
bool released[BUFFER];
byte stores;

/* The writer. */
byte segment;
byte slot;
byte next_position = 1;
bool symbol_known;      /* by the table */
bool symbol_defined;    /* in the journal */
byte records;
byte kills;
bool done;
bool running;           /* a process has the journal open */

byte committed;         /* last position whose commit word reached memory */

byte i, j, w, b;        /* scratch; 0 between steps */

inline store(address, value, release) {
  where[stores] = address; what[stores] = value; released[stores] = release;
  stores++
}

#ifdef COMMIT_NOT_RELEASED
#define RELEASE false
#else
#define RELEASE true
#endif

/* Entry i reaches memory. */
inline reach_memory() {
  w = where[i];
  memory[w] = what[i];
  if
  :: w % SEGMENT_WORDS < 2 * SLOTS && w % SEGMENT_WORDS % 2 == 0 && what[i] != 0 && (released[i] || !RELEASE) && memory[w + 1] < ROLL &&
     position_in(memory[w + 1]) > committed -> committed = position_in(memory[w + 1])
  :: else
  fi;
  do
  :: i + 1 < stores -> where[i] = where[i + 1]; what[i] = what[i + 1]; released[i] = released[i + 1]; i++
  :: else -> break
  od;
  stores--;
  where[stores] = 0; what[stores] = 0; released[stores] = false;
  i = 0; w = 0
}

/* Entry n may: nothing to the same place before it, nothing at all before it if it is a release. */
#define may_reach(n) ((n) < stores && (!released[n] || (n) == 0) && !same_place(n))
#define same(n, m) ((n) > (m) && where[n] == where[m])
#define same_place(n) (same(n, 0) || same(n, 1) || same(n, 2) || same(n, 3) || same(n, 4) || same(n, 5) || same(n, 6) || \
                       same(n, 7) || same(n, 8) || same(n, 9) || same(n, 10))

/* release(): all of the record but its commit word is written. */
inline release(slots) {
#ifdef CLEARED_AFTERWARDS
  store(commit_word(segment, slot), slots, RELEASE);
  store(commit_word(segment, slot + slots), 0, false);
#else
#ifndef NOT_CLEARED
  store(commit_word(segment, slot + slots), 0, false);
#endif
  store(commit_word(segment, slot), slots, RELEASE);
#endif
  slot = slot + slots;
  next_position++
}

/* begin(): symbols restated, header, magic. */
inline begin(s) {
#ifdef MAGIC_NOT_RELEASED
  store(magic(s), 1, false);
  store(previous_position(s), next_position - 1, false);
#else
  store(previous_position(s), next_position - 1, false);
#endif
  slot = 0;
#ifndef NOT_RESTATED
  if
  :: symbol_defined ->
     store(body(s, 0), SYMBOL, false);
     store(commit_word(s, 0), 1, true);
     slot = 1
  :: else
  fi;
#endif
#ifndef MAGIC_NOT_RELEASED
  store(magic(s), 1, true)
#else
  skip
#endif
}

inline close_segment(s, k) {
  store(body(s, k), ROLL, false);
  store(commit_word(s, k), 1, true)
}

#define room (slot + 2 <= SLOTS - 1)
#define buffer_has_room(n) (stores + (n) <= BUFFER)
#define may_write(n) (running && room && records < RECORDS && buffer_has_room(n))

/* go_on() of a segment: up to the first 0, or its roll record. */
inline walk(s) {
  j = 0;
  found = memory[previous_position(s)];
  found_symbol = false;
  do
  :: memory[commit_word(s, j)] == 0 -> closed = false; break
  :: memory[commit_word(s, j)] != 0 && memory[body(s, j)] == ROLL -> closed = true; break
  :: else ->
     b = memory[body(s, j)];
     if
     :: (b & SYMBOL) && b != GARBAGE -> found_symbol = true
     :: else
     fi;
     if
     :: position_in(b) != 0 -> found = position_in(b)
     :: else
     fi;
     j = j + memory[commit_word(s, j)]
  od;
  b = 0
}

/* Writer::open(): what was prepared and never begun is removed; a new segment is begun, then the last one closed. */
inline open_journal() {
  segment = 0;
  do
  :: segment < SEGMENTS && memory[magic(segment)] -> segment++
  :: else -> break
  od;
  /* `segment` is now the number of segments that are begun, and the new one's. */
  assert(segment < SEGMENTS);
  for (j : 0 .. SEGMENT_WORDS - 1) { memory[segment * SEGMENT_WORDS + j] = 0 }
  if
  :: segment >= 2 ->
     walk(segment - 2);
     before_open = !closed; before_end = j
  :: else -> before_open = false
  fi;
  if
  :: segment >= 1 -> walk(segment - 1)
  :: else -> found = 0; found_symbol = false
  fi;
  assert(found == committed);
  next_position = found + 1;
  symbol_defined = found_symbol;
  last_end = j;
#ifndef CLOSED_ONLY_AFTERWARDS
  /* First the one that has a next one already: whenever we are killed, no more than the last two lack their end. */
  if
  :: before_open -> close_segment(segment - 2, before_end)
  :: else
  fi;
#endif
#ifdef CLOSED_BEFORE_BEGUN
  if
  :: segment >= 1 -> close_segment(segment - 1, last_end)
  :: else
  fi;
#endif
  begin(segment);
#ifdef CLOSED_ONLY_AFTERWARDS
  if
  :: before_open -> close_segment(segment - 2, before_end)
  :: else
  fi;
#endif
#ifndef CLOSED_BEFORE_BEGUN
#ifndef NOT_CLOSED
  if
  :: segment >= 1 -> close_segment(segment - 1, last_end)
  :: else
  fi;
#endif
#endif
  found = 0; found_symbol = false; closed = false; before_open = false; before_end = 0; last_end = 0; j = 0
}

active proctype Writer() {
  byte found, before_end, last_end;
  bool closed, before_open, found_symbol;
  do
  :: d_step { !running -> open_journal(); running = true }

  /* claim(), filled and given up: bytes that nobody looks at, but for the word that a reader may be looking at. */
  :: d_step { may_write(3) ->
       store(body(segment, slot), GARBAGE, false);
       store(commit_word(segment, slot + 1), 1, false);
       store(body(segment, slot + 1), GARBAGE, false);
       records++
     }

  /* commit() of a frame of one slot, and of two. */
  :: d_step { may_write(3) ->
       store(body(segment, slot), FRAME + next_position, false);
       release(1);
       records++
     }
  :: d_step { may_write(5) ->
       store(body(segment, slot), FRAME + next_position, false);
       store(commit_word(segment, slot + 1), FRAME + next_position, false);
       store(body(segment, slot + 1), FRAME + next_position, false);
       release(2);
       records++
     }

  /* commit() of a frame with the symbol in it: define_symbols() moves the frame up, its commit word and all. */
  :: d_step { may_write(9) ->
       if
       :: symbol_defined ->
          store(body(segment, slot), FRAME + USES_SYMBOL + next_position, false);
          release(1)
       :: else ->
          symbol_defined = true;
#ifdef SYMBOL_DEFINED_AFTERWARDS
          store(body(segment, slot), FRAME + USES_SYMBOL + next_position, false);
          release(1);
          store(body(segment, slot), SYMBOL + next_position, false);
          release(1)
#else
          store(body(segment, slot), GARBAGE, false);
          store(body(segment, slot + 1), GARBAGE, false);
          store(commit_word(segment, slot + 1), 0, false);
          store(body(segment, slot), SYMBOL + next_position, false);
          release(1);
          store(body(segment, slot), FRAME + USES_SYMBOL + next_position, false);
          release(1)
#endif
       fi;
       records++
     }

  /* make_room() */
  :: d_step { running && !room && records < RECORDS && buffer_has_room(7) ->
       j = slot;
#ifdef CLOSED_BEFORE_BEGUN
       close_segment(segment, j);
#endif
       begin(segment + 1);
       store(link(segment), 1, true);
#ifndef CLOSED_BEFORE_BEGUN
       close_segment(segment, j);
#endif
       segment++;
       j = 0
     }

  /* A kill, at any instant: also of recovery, whose stores wait in the buffer like any. */
  :: d_step { running && kills < KILLS ->
       kills++;
       running = false;
       do
       :: stores > 0 -> stores--; where[stores] = 0; what[stores] = 0; released[stores] = false
       :: else -> break
       od;
       segment = 0; slot = 0; symbol_defined = false; next_position = 0
     }

  :: running && records == RECORDS && stores == 0 -> done = true; break
  od
}

#define REACH(n) :: d_step { may_reach(n) -> i = n; reach_memory() }

active proctype Memory() {
  do
  REACH(0)
  REACH(1)
  REACH(2)
  REACH(3)
  REACH(4)
  REACH(5)
  REACH(6)
  REACH(7)
  REACH(8)
  REACH(9)
  REACH(10)
  REACH(11)
  :: done -> break
  od
}

#define lives (!inside || kills == 0)

/* Reader::next() */
proctype Reader(bool inside) {
  byte s, k, position, length, content;
  bool symbol;
  /* From the beginning, or from where a later segment begins. */
  if
  :: s = 0
  :: d_step { memory[magic(1)] != 0 && lives -> s = 1; position = memory[previous_position(1)] }
  fi;
  do
#ifdef COMMIT_NOT_ACQUIRED
  :: d_step { lives -> content = memory[body(s, k)] };
     d_step { length = memory[commit_word(s, k)] };
     if
     :: length == 0
     :: else
#else
  :: d_step { memory[magic(0)] != 0 && memory[commit_word(s, k)] != 0 && lives -> length = memory[commit_word(s, k)] };
     if
     :: d_step { true -> content = memory[body(s, k)] }
#endif
        d_step {
          true ->
          assert(content != GARBAGE || !lives);
          if
          :: !lives
          :: lives && content == ROLL ->
             assert(!inside || memory[link(s)]);
             assert(memory[magic(s + 1)]);
             s++; k = 0;
             assert(memory[previous_position(s)] == position)
          :: lives && content == SYMBOL -> symbol = true; k++  /* restated */
          :: else ->
             assert(position_in(content) == position + 1);
             assert(!(content & USES_SYMBOL) || symbol);
             assert(length == 1 || (memory[commit_word(s, k + 1)] == content && memory[body(s, k + 1)] == content));
             symbol = symbol || (content & SYMBOL);
             position++;
             k = k + length
          fi;
          length = 0; content = 0
        }
     fi
  :: done && memory[commit_word(s, k)] == 0 -> assert(position == committed); break
  :: !lives -> break
  od
}

init {
  /* A reader writes nothing that anybody reads: what holds for each alone holds for any number. */
  if
  :: run Reader(true)
  :: run Reader(false)
  fi
}
