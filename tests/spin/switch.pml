/* SPDX-License-Identifier: MIT */
/*
 * A model of the switch-over between two machines (hv/link/answerer.c, hv/link/asker.c), to be
 * searched in all orders: tests/spin/run. One source, and two destinations: the second may be
 * another machine, or the first one after a crash.
 *
 * A message that was sent can be taken at any later moment, and again and again: so it is lost,
 * late, overtaken and repeated in every way. The code's sessions refuse what is repeated; the
 * model does not, so it claims more.
 *
 *	model			code
 *	freeze, thaw		answerer_freeze(); thaw(), by the limit, or for one who leaves
 *	take			take(); is_for_another() keeps other takers out
 *	ask, collect		state_ask(), say_next(); take_state(), note_image()
 *	taking			asker_take_over(); given(), refused()
 */
/* Always 0, and not stored: they give an assertion its name. */
hidden byte EXACTLY_ONE_RUNS;
hidden byte THE_STATE_IS_THE_IMAGES; /* and not of another attempt */
hidden byte IT_IS_STARTED_ONCE;

#define must(name, claim) assert(name || (claim))

#define RUNS	0 /* phases of the source */
#define FROZEN	1
#define GONE	2
#define DEAD	3

#define WAITING	0 /* phases of a destination; it runs in RUNNING */
#define TAKING	1
#define RUNNING	2
#define ENDED	3

/* Attempts, and pieces of a state. A state that is torn needs one destination only. */
#ifdef SWITCH_ALONE
#define IMAGES	3
#define PIECES	2
#else
#define IMAGES	2
#define PIECES	1
#endif
#define TAKERS	2
#define NOBODY	TAKERS

byte s_phase, s_image, s_taker = NOBODY;
byte s_age; /* how often the guest has run on: what its state is */
byte d_phase[TAKERS], started;

/* What was sent. Each piece of a state says of which image it is, and holds an age. */
bit asked[TAKERS];
bit take[TAKERS * IMAGES];
bit given[TAKERS * IMAGES];
bit refused[TAKERS];
bit piece[TAKERS * IMAGES * IMAGES * PIECES];

#define PIECE(t, image, age, p) piece[(((t) * IMAGES + (image)) * IMAGES + (age)) * PIECES + (p)]
#define TAKE(t, image)		take[(t) * IMAGES + (image)]
#define GIVEN(t, image)		given[(t) * IMAGES + (image)]
#define NOBODY_RUNS		(s_phase != RUNS && d_phase[0] != RUNNING && d_phase[1] != RUNNING)

inline pick(t) {
	if
	:: t = 0
	:: t = 1
	fi
}

inline freeze() {
	pick(t);
	if
	:: asked[t] -> s_phase = FROZEN; s_taker = t
	:: else
	fi
}

inline thaw() {
	s_age++;
#ifndef THAW_KEEPS_THE_IMAGE
	s_image++;
#endif
	s_taker = NOBODY;
	s_phase = RUNS;
	must(EXACTLY_ONE_RUNS, d_phase[0] != RUNNING && d_phase[1] != RUNNING)
}

/* A word of t that takes image i. */
inline take_over() {
	if
#ifdef TAKE_WHILE_IT_RUNS
	:: s_phase == RUNS -> GIVEN(t, i) = 1
#endif
#ifdef GIVEN_TO_ANYBODY
	:: i == s_image && (s_phase == FROZEN || s_phase == GONE) ->
#else
#ifdef TAKE_OF_ANY_IMAGE
	:: t == s_taker && (s_phase == FROZEN || s_phase == GONE) ->
#else
	:: t == s_taker && i == s_image && (s_phase == FROZEN || s_phase == GONE) ->
#endif
#endif
		s_phase = GONE;
		GIVEN(t, i) = 1
	:: else -> refused[t] = 1
	fi
}

active proctype source() {
	byte t, i;

end:	do
	:: atomic { s_phase == RUNS && (asked[0] || asked[1]) -> freeze() }
	:: atomic { s_phase == FROZEN || s_phase == GONE ->
		PIECE(s_taker, s_image, s_age, 0) = 1;
#ifdef GIVEN_TO_ANYBODY
		PIECE(1 - s_taker, s_image, s_age, 0) = 1
#endif
	   }
#if PIECES == 2
	:: atomic { s_phase == FROZEN || s_phase == GONE ->
		PIECE(s_taker, s_image, s_age, 1) = 1 }
#endif
#ifdef THAW_AFTER_IT_IS_GONE
	:: atomic { s_phase >= FROZEN && s_phase <= GONE && s_age < IMAGES - 1 -> thaw() }
#else
	:: atomic { s_phase == FROZEN && s_age < IMAGES - 1 -> thaw() }
#endif
	:: atomic { s_phase != DEAD ->
		pick(t);
		i = 0;
		do
		:: i < IMAGES - 1 -> i++
		:: break
		od;
		if
		:: TAKE(t, i) -> take_over()
		:: else
		fi
	   }
#ifdef SWITCH_CRASHES
	:: atomic { s_phase != DEAD -> s_phase = DEAD }
#endif
	od
}

/* One piece of some image: of another image than before, and all that came before is void. */
inline collect() {
	id = 0;
	do
	:: id < IMAGES - 1 -> id++
	:: break
	od;
	age = 0;
	do
	:: age < IMAGES - 1 -> age++
	:: break
	od;
	if
	:: p = 0
	:: p = PIECES - 1
	fi;
	if
	:: PIECE(me, id, age, p) ->
		if
#ifndef STATE_OF_ANY_IMAGE
		:: id != image -> have = 0
#endif
		:: else
		fi;
		image = id;
		have = have | (1 << p);
		if
		:: p == 0 -> first = age
		:: else
		fi;
		if
		:: p == PIECES - 1 -> second = age
		:: else
		fi
	:: else
	fi
}

inline start() {
	must(EXACTLY_ONE_RUNS, NOBODY_RUNS);
	must(THE_STATE_IS_THE_IMAGES, s_phase == DEAD || (first == s_age && second == s_age));
	must(IT_IS_STARTED_ONCE, started == 0);
	started++;
	d_phase[me] = RUNNING
}

/* Its memory is lost, and who it was: it comes back as the other taker, if at all. */
inline crash() {
	crashed = 1;
#ifdef RESTARTED_IS_THE_SAME
	d_phase[me] = WAITING;
	have = 0
#else
	d_phase[me] = ENDED
#endif
}

proctype destination(byte me) {
	byte image, have, id, age, p, first, second;
	bit crashed;

end:	do
	:: atomic { d_phase[me] == WAITING && !asked[me] -> asked[me] = 1 }
	:: atomic { d_phase[me] == WAITING -> collect() }
	:: atomic { d_phase[me] == WAITING && have == (1 << PIECES) - 1 ->
		d_phase[me] = TAKING;
		TAKE(me, image) = 1;
#ifdef RUNS_BEFORE_IT_IS_GIVEN
		start();
#endif
	   }
	:: atomic { d_phase[me] == TAKING && GIVEN(me, image) -> start() }
	:: atomic { d_phase[me] == TAKING && refused[me] -> d_phase[me] = WAITING; have = 0 }
#ifdef SWITCH_CRASHES
	:: atomic { !crashed && d_phase[me] != ENDED -> crash() }
#endif
	od
}

init {
	atomic {
		run destination(0);
#ifndef SWITCH_ALONE
		run destination(1)
#endif
	}
}
