# SPDX-License-Identifier: MIT
"""How tests/host/mutations breaks the second stage."""

# name: (file, [(text, replacement), ...])
MUTATIONS = {
    "collapse_owes_no_flush": ("ept/tree/gather.c", [
        ("\tg->owed = true;\n\tg->table[", "\tg->table[")]),
    "present_split_owes_no_flush": ("ept/path/split.c", [("\tg->owed = true;\n", "")]),
    "tables_freed_before_the_flush": ("ept/tree/gather.c", [
        ("\tept->ops->flush(ept->ctx, me->cpu);\n", ""),
        ("\tept_stat_add(&me->stats.tables_freed",
         "\tept->ops->flush(ept->ctx, me->cpu);\n\tept_stat_add(&me->stats.tables_freed")]),
    "late_bits_not_harvested": ("ept/tree/gather.c", [
        ("if (g->table[i].harvest)", "if (g->table[i].harvest && !ept)")]),
    "late_bits_harvested_before_the_flush": ("ept/tree/gather.c", [
        ("\tept->ops->flush(ept->ctx, me->cpu);\n",
         "\tfor (unsigned int i = 0; i < g->n; i++)\n\t\tif (g->table[i].harvest)\n"
         "\t\t\tharvest(me, g, &g->table[i]);\n\tept->ops->flush(ept->ctx, me->cpu);\n"),
        ("\t\tif (g->table[i].harvest)\n\t\t\tharvest(me, g, &g->table[i]);\n\t\tept->ops", "\t\tept->ops")]),
    "late_bits_only_in_the_first_piece": ("ept/tree/gather.c", [
        ("gfn_t end = gfn + fmt_frames(ept->fmt, level);", "gfn_t end = gfn + (level > 0);")]),
    "all_bits_taken_for_seen": ("ept/path/collapse.c", [
        ("gather_table(g, table, gfn, s->level, m.ad, m", "gather_table(g, table, gfn, s->level, ~m.ad | m.ad, m")]),
    "full_gather_flushes_in_the_middle": ("ept/path/collapse.c", [
        ("\tgather_make_room(g);\n\ts = slot_find(ept, gfn, level);\n",
         "\ts = slot_find(ept, gfn, level);\n\tgather_make_room(g);\n")]),
    "publish_before_the_contents": ("ept/path/arrive.c", [
        ("claim->slot, leaf, memory_order_release", "claim->slot, leaf, memory_order_relaxed")]),
    "table_linked_before_its_entries": ("ept/tree/slot.h", [
        ("memory_order_acq_rel, memory_order_acquire", "memory_order_relaxed, memory_order_relaxed")]),
    "collapsed_table_not_marked_dead": ("ept/path/collapse.c", [
        ("atomic_store_explicit(&child->dead, 1,", "atomic_store_explicit(&child->dead, 0,")]),
    "dead_table_not_noticed": ("ept/tree/slot.h", [("!table_dead(s->table) && entry_kind", "entry_kind")]),
    "slot_not_read_again_under_the_lock": ("ept/tree/slot.h", [
        ("\ttable_lock(s->table);\n\ts->entry = atomic_load_explicit(s->at, memory_order_acquire);\n",
         "\ttable_lock(s->table);\n")]),
    "scattered_frames_collapse": ("ept/path/collapse.c", [
        ("if (differs & fmt_leaf_addr(fmt, below))", "if (!fmt)")]),
    "unaligned_frames_collapse": ("ept/path/collapse.c", [
        ("if (!IS_ALIGNED(s.frame.v, fmt_bytes(fmt, level)))", "if (!fmt)")]),
    "mixed_rights_collapse": ("ept/path/collapse.c", [("if (differs & ~ad_mask || s.tracked)", "if (s.tracked)")]),
    "collapse_without_counting": ("ept/path/collapse.c", [
        ("if (!table_complete(ept, child))",
         "if (atomic_load_explicit(&child->present, memory_order_acquire) + 1u < fmt_entries(ept->fmt))")]),
    "dirty_bits_not_gathered_at_a_collapse": ("ept/path/collapse.c", [
        ("s.dirty = any & fmt->dirty;", "s.dirty = false;")]),
    "dirty_bits_not_copied_at_a_split": ("ept/path/split.c", [
        ("\ts.level = level_below(level);\n",
         "\ts.level = level_below(level);\n\ts.dirty = false;\n")]),
    "bits_copied_at_a_split": ("ept/path/split.c", [("return leaf_encode(ept, s);", "return s.level ? entry : 0;")]),
    "pieces_not_written_again_after_a_race": ("ept/path/split.c", [
        ("\tdo {\n\t\ttable_fill(me->ept, table, first_piece(me->ept, s->entry, s->level), step);\n\t} while",
         "\ttable_fill(me->ept, table, first_piece(me->ept, s->entry, s->level), step);\n\tdo {\n\t} while")]),
    "wrong_stride_of_absent_pieces": ("ept/path/split.c", [
        ("s->entry, -fmt_bytes(fmt, below)", "s->entry, -fmt_bytes(fmt, s->level)")]),
    "lost_race_leaks_the_table": ("ept/path/split.c", [
        ("\t\ttable_discard(me, table);\n\t\tept_stat_add(&me->stats.split_races, 1);\n\t\treturn 0;\n\t}\n"
         "\tsplit_done(me, &me->stats.splits_absent",
         "\t\tept_stat_add(&me->stats.split_races, 1);\n\t\treturn 0;\n\t}\n"
         "\tsplit_done(me, &me->stats.splits_absent")]),
    "arrival_not_counted_in_its_table": ("ept/path/arrive.c", [
        ("\treturn leaf_completes(me, table, level);", "\tept_stat_add(ept_stat_pages(&me->stats, level), 1);\n\treturn (void)table, false;")]),
    "complete_one_page_early": ("ept/tree/slot.h", [
        ("leaf_counted(me, table, level, 1) == me->ept->walk.entries &&",
         "leaf_counted(me, table, level, 1) + 1 >= me->ept->walk.entries &&")]),
    "duplicate_accepted": ("ept/path/arrive.c", [
        ("\treturn (e & w->absent_mask) ==", "\treturn (e & ENTRY_HIDDEN_BITS) || (e & w->absent_mask) ==")]),
    "claim_without_compare_and_swap": ("ept/path/arrive.c", [
        ("\treturn atomic_compare_exchange_strong_explicit(s.at, &s.entry, entry, memory_order_acq_rel,\n"
         "\t\t\t\t\t\t       memory_order_relaxed);\n",
         "\tatomic_store(s.at, entry);\n\treturn true;\n")]),
    "tracked_page_arrives_in_place_as_any_other": ("ept/tree/table.c", [
        ("ENTRY_COW | ENTRY_TRACKED,", "ENTRY_COW,")]),
    "foreign_frame_arrives_in_place": ("ept/tree/table.c", [
        ("ENTRY_ZERO | ENTRY_COW | ENTRY_TRACKED,", "ENTRY_ZERO | ENTRY_TRACKED,")]),
    "discarded_page_arrives_in_place": ("ept/tree/table.c", [
        ("ENTRY_ZERO | ENTRY_COW | ENTRY_TRACKED,", "ENTRY_COW | ENTRY_TRACKED,")]),
    "last_arrival_in_place_is_not_told": ("ept/path/arrive.c", [
        ("\t\treturn arrived(me, s.table, PG_LEVEL_4K);\n\treturn arrive_slowly",
         "\t\treturn (void)arrived(me, s.table, PG_LEVEL_4K), 0;\n\treturn arrive_slowly")]),
    "usual_walk_takes_half_of_an_index": ("ept/path/arrive.c", [
        ("gfn >> 9 & 511, &table", "gfn >> 9 & 255, &table")]),
    "usual_walk_goes_through_large_leaves": ("ept/path/arrive.c", [
        ("\treturn (e & w->table_mask) == w->table_bits;", "\treturn (e & w->table_bits) == w->table_bits;")]),
    "request_not_remembered": ("ept/path/arrive.c", [
        ("\t\tif (s.entry & ENTRY_REQUESTED)\n\t\t\treturn EPT_ASKED;\n", "")]),
    "giving_up_forgets_the_request": ("ept/path/arrive.c", [
        ("entry_with_kind(claim->entry, EPT_ABSENT)",
         "entry_with_kind(claim->entry, EPT_ABSENT) & ~ENTRY_REQUESTED")]),
    "frames_not_inverted": ("ept/entry/entry.c", [("(~s->frame.v & ENTRY_FRAME_MASK)", "(s->frame.v & ENTRY_FRAME_MASK)"),
                                            ("hpa(entry_hidden_frame(e))", "hpa(e & ENTRY_FRAME_MASK)")]),
    "failed_map_not_rolled_back": ("ept/ops/map.c", [("\t\t\troll_back(me, gfn, done, frames);\n", "\t\t\t(void)roll_back;\n")]),
    "empty_tables_stay": ("ept/ops/map.c", [("\tdrop_tables(me, gfn, frames, g);\n", "\t(void)drop_tables;\n")]),
    "edges_not_split": ("ept/ops/each.c", [
        ("\terr = split_edges(me, gfn, end, c->why, g);\n\twhile", "\terr = 0;\n\twhile"),
        ("\t\tif (s.entry && (from < gfn || to > end)) {", "\t\tif (s.entry && !me) {")]),
    "amd_pat_bit_not_moved_in_large_leaves": ("ept/entry/format_amd.c", [
        ("(index & 4 ? (large ? AMD_PAT_LARGE : AMD_PAT_4K) : 0)", "(index & 4 ? AMD_PAT_4K : 0)")]),
    "amd_pat_bit_not_moved_in_small_leaves": ("ept/entry/format_amd.c", [
        ("(index & 4 ? (large ? AMD_PAT_LARGE : AMD_PAT_4K) : 0)", "(index & 4 ? AMD_PAT_LARGE : 0)")]),
    "amd_pat_bit_read_where_small_leaves_have_it": ("ept/entry/format_amd.c", [
        ("level > PG_LEVEL_4K ? AMD_PAT_LARGE : AMD_PAT_4K;", "level ? AMD_PAT_4K : AMD_PAT_LARGE;")]),
    "amd_pat_bit_left_in_the_address": ("ept/entry/entry.c", [
        ("hpa(e & fmt_leaf_addr(fmt, s->level))", "hpa(e & fmt->addr)")]),
    "amd_pat_bit_taken_for_a_scattered_frame": ("ept/path/collapse.c", [
        ("if (differs & fmt_leaf_addr(fmt, below))", "if (differs & fmt->addr)")]),
    "amd_pat_index_of_another_type": ("ept/entry/format_amd.c", [("\t\treturn 5;", "\t\treturn 6;")]),
    "amd_no_execute_lost": ("ept/entry/format_amd.c", [("(perms & EPT_X ? 0 : AMD_NX)", "0")]),
    "amd_leaf_not_the_users": ("ept/entry/format_amd.c", [
        ("return AMD_PRESENT | AMD_USER |", "return AMD_PRESENT |")]),
    "amd_table_not_the_users": ("ept/entry/format_amd.c", [
        ("AMD_PRESENT | AMD_WRITE | AMD_USER,", "AMD_PRESENT | AMD_WRITE,")]),
    "amd_table_not_writable": ("ept/entry/format_amd.c", [
        ("AMD_PRESENT | AMD_WRITE | AMD_USER,", "AMD_PRESENT | AMD_USER,")]),
    "amd_dirty_bit_elsewhere": ("ept/entry/format_amd.c", [
        ("#define AMD_DIRTY     (UINT64_C(1) << 6)", "#define AMD_DIRTY     (UINT64_C(1) << 9)")]),
    # Ranges, tracking, other frames, execution.
    "protect_and_marks_owe_no_flush": ("ept/tree/slot.c", [
        ("\tif (was.perms & ~was.withheld & ~(is.perms & ~is.withheld))\n\t\tg->owed = true;\n",
         "\t(void)g;\n\t(void)is;\n")]),
    "what_is_hidden_owes_no_flush": ("ept/tree/slot.c", [
        ("\tslot_unlock(s);\n\tg->owed = true;\n\treturn true;\n", "\tslot_unlock(s);\n\t(void)g;\n\treturn true;\n")]),
    "counter_below_zero_says_complete": ("ept/tree/slot.h", [
        ("leaf_counted(me, table, level, 1) == me->ept->walk.entries &&",
         "leaf_counted(me, table, level, 1) >= me->ept->walk.entries &&")]),
    "what_is_hidden_is_still_counted": ("ept/tree/slot.c", [
        ("\t(void)leaf_counted(me, s->table, s->level, -1);\n", "\t(void)me;\n")]),
    "collect_owes_no_flush": ("ept/ops/track.c", [("\tif (n)\n\t\tg->owed = true;\n", "\t(void)g;\n")]),
    "collect_leaves_the_page_writable": ("ept/ops/track.c", [
        ("slot_swap(s, changed(ept, a, s->entry, s->level, unwritten, 0))",
         "slot_swap(s, changed(ept, a, s->entry, s->level, unwritten, 0) ? s->entry & ~ept->fmt->dirty : 0)")]),
    "collect_without_compare_and_swap": ("ept/ops/track.c", [
        ("\t\tif (!whole || slot_swap(s, changed(ept, a, s->entry, s->level, unwritten, 0)))\n",
         "\t\tif (whole)\n\t\t\tatomic_store(s->at, changed(ept, a, s->entry, s->level, unwritten, 0));\n"
         "\t\tif (a)\n")]),
    "walks_forgotten_and_the_table_called_quiet": ("ept/ops/track.c", [("\ttable_dirtied(child);\n\t/* A collapse", "\t/* A collapse")]),
    # A quiet table is not looked into: whoever makes something dirty has to say so.
    "walked_tables_not_looked_into": ("ept/ops/track.c", [
        ("\tif (!walked && atomic_load_explicit(&child->quiet", "\tif (atomic_load_explicit(&child->quiet")]),
    "quiet_while_pointers_are_remembered": ("ept/ops/track.c", [
        ("\tif (!walked && whole && settled)\n", "\tif (!walked && whole)\n\t\t(void)settled;\n\tif (!walked && whole)\n")]),
    "quiet_when_a_part_was_looked_at": ("ept/ops/track.c", [
        ("\tif (!walked && whole && settled)\n", "\tif (!walked && settled)\n")]),
    "quiet_with_something_dirty_left": ("ept/ops/track.c", [
        ("\tif (left)\n\t\ttable_dirtied(child);\n", "")]),
    "walks_forgotten_without_a_flush": ("ept/ops/track.c", [
        ("\tif (slot_swap(s, s->entry & ~accessed))\n\t\tg->owed = true;\n",
         "\tif (slot_swap(s, s->entry & ~accessed))\n\t\t(void)g;\n")]),
    "walks_forgotten_and_relied_on_by_a_collapse": ("ept/path/collapse.c", [
        ("return s->entry & ept->fmt->accessed || table_why(child) & EPT_WHY_DIRTY;",
         "(void)child;\n\treturn s->entry & ept->fmt->accessed;")]),
    "quiet_though_changed_under_the_lock": ("ept/tree/slot.h", [
        ("\ttable_dirtied(s->table);\n\ttable_unlock(", "\ttable_unlock(")]),
    "quiet_though_late_bits_came": ("ept/tree/gather.c", [("\t\ttable_dirtied(s.table);\n", "")]),
    "quiet_though_a_write_was_noted": ("ept/ops/access.c", [("\ttable_dirtied(s->table);\n", "")]),
    "quiet_though_discarded": ("ept/ops/discard.c", [("\t\ttable_dirtied(s->table);\n", "")]),
    # That of a move is not here: it takes a collection between the place's reservation and the move,
    # and no test has that order.
    "marks_put_though_writes_are_to_be_noted": ("ept/ops/track.c", [
        ("\treturn t->level == PG_LEVEL_4K && table_complete(ept, t) &&\n"
         "\t       atomic_load_explicit(&ept->track, memory_order_relaxed) == EPT_TRACK_DIRTY;",
         "\treturn t->level == PG_LEVEL_4K && table_complete(ept, t);")]),
    "marks_put_on_what_is_not_there": ("ept/ops/track.c", [
        ("t->level == PG_LEVEL_4K && table_complete(ept, t) &&", "t->level == PG_LEVEL_4K &&")]),
    "unmarked_leaves_collected": ("ept/ops/track.c", [
        ("const uint64_t both = ENTRY_TRACKED | dirty;", "const uint64_t both = dirty;")]),
    "part_of_a_leaf_collected_cleans_it_all": ("ept/ops/track.c", [
        ("\t\tif (!whole || slot_swap(", "\t\tif ((!whole && !ept) || slot_swap(")]),
    "discarded_pages_not_collected": ("ept/ops/track.c", [
        ("\t\t\treturn kind == EPT_ABSENT || kind == EPT_FROZEN;\n", "\t\t\treturn kind == EPT_FROZEN;\n")]),
    "frozen_pages_not_collected": ("ept/ops/track.c", [
        ("\t\t\treturn kind == EPT_ABSENT || kind == EPT_FROZEN;\n", "\t\t\treturn kind == EPT_ABSENT;\n")]),
    "marks_reach_out_of_the_range": ("ept/ops/track.c", [
        ("\treturn !(s->entry & ENTRY_TRACKED) == on &&\n", "\treturn !(s->entry & ENTRY_TRACKED) == on && !fmt &&\n")]),
    "own_frame_found_in_one_space_only": ("ept/ops/rmap.c", [
        ("owner & OWNER_KNOWN && i < EPT_SPACES_MAX; i++)", "owner & OWNER_KNOWN && i < 1; i++)")]),
    "regions_merge_without_limit": ("ept/ops/monitor.c", [
        ("\t\tif (a->frames + b->frames <= most && ", "\t\tif (most && ")]),
    "like_leaves_taken_for_alike": ("ept/ops/track.c", [
        ("if (!a->known || a->was != (e ^ frame)) {", "if (!a->known) {")]),
    "marks_owe_no_flush": ("ept/ops/track.c", [("\t\t\tg->owed |= a->lost;\n", "\t\t\t(void)g;\n")]),
    "tracking_stops_where_another_unmaps": ("ept/ops/track.c", [
        ("\t\t\tif (err != EPT_NO_TABLE && err != EPT_BUSY)\n\t\t\t\terr = 0;\n", "")]),
    "move_stops_where_another_unmaps": ("ept/path/split.c", [
        ("return how->anything ? 0 : EPT_UNMAPPED;", "return EPT_UNMAPPED;")]),
    "what_was_discarded_arrives_clean": ("ept/path/arrive.c", [
        ("\ts.dirty = s.tracked && s.zero;\n", "")]),
    "tracked_arrival_loses_its_mark": ("ept/path/arrive.c", [
        ("if (claim->entry & (ENTRY_TRACKED | ENTRY_COW))",
         "if (claim->entry & ENTRY_COW)")]),
    "tracked_leaf_not_split_ahead": ("ept/ops/track.c", [
        ("\tif (on && kind == EPT_PRESENT)\n\t\treturn true;\n", "\tif (on && kind == EPT_PRESENT && s->level > PG_LEVEL_2M)\n\t\treturn true;\n"),
        ("\t\t\tif (on && s->level > PG_LEVEL_4K)\n", "\t\t\tif (on && s->level > PG_LEVEL_2M)\n")]),
    "tracked_tables_collapse": ("ept/path/collapse.c", [("if (differs & ~ad_mask || s.tracked)", "if (differs & ~ad_mask)")]),
    "write_noted_without_the_dirty_bit": ("ept/ops/access.c", [
        ("\ts.accessed = true;\n\ts.dirty = true;\n", "\ts.accessed = true;\n")]),
    "write_noted_of_the_whole_leaf": ("ept/ops/access.c", [
        ("\tif (s->level > PG_LEVEL_4K &&\n", "\tif (s->level > PG_LEVEL_1G &&\n")]),
    "reach_notes_no_write": ("ept/ops/access.c", [("(a->access & EPT_W ? fmt->dirty : 0)", "0")]),
    "cow_leaf_writable": ("ept/tree/slot.h", [("(note || s->cow ? s->perms & EPT_W : 0)", "(note ? s->perms & EPT_W : 0)")]),
    "cow_leaf_granted_at_a_write": ("ept/ops/access.c", [
        ("return is.cow ? EPT_FOREIGN : note_write(me, s, gfn, g);", "return note_write(me, s, gfn, g);")]),
    "clone_leaves_the_original_writable": ("ept/ops/clone.c", [
        ("\tif (to->share == EPT_PRIVATE && is.kind == EPT_PRESENT) {", "\tif (to->share == EPT_PRIVATE && !me) {")]),
    "clone_owns_its_frames": ("ept/ops/clone.c", [
        ("\ts.cow = share == EPT_PRIVATE || s.kind == EPT_ABSENT;\n", "\ts.cow = false;\n\t(void)share;\n")]),
    "clone_keeps_requests": ("ept/ops/clone.c", [("\ts.requested = false;\n", "")]),
    "failed_clone_stays": ("ept/ops/clone.c", [
        ("\t\tforget_copy(clone, gfn, frames);\n", "\t\t(void)forget_copy;\n")]),
    "copied_page_still_shared": ("ept/ops/relocate.c", [
        ("\t\tis.frame = frame;\n\t\tis.cow = false;\n", "\t\tis.frame = frame;\n")]),
    "thaw_on_the_old_frame": ("ept/ops/relocate.c", [("\t\tis.frame = frame;\n", "")]),
    "thaw_not_counted_in_its_table": ("ept/ops/relocate.c", [
        ("\treturn leaf_completes(me, f->table, level);", "\tept_stat_add(ept_stat_pages(&me->stats, level), 1);\n\treturn false;")]),
    "late_bits_lost_at_a_thaw": ("ept/ops/relocate.c", [
        ("\t\tis.dirty = s.entry & ENTRY_DIRTY;\n", "\t\tis.dirty = f->was.dirty;\n")]),
    "late_bits_not_kept_while_frozen": ("ept/tree/gather.c", [
        ("(ad & ept->fmt->dirty ? ENTRY_DIRTY : 0)", "0")]),
    "frozen_page_unmapped": ("ept/tree/slot.c", [
        ("\tcase EPT_FROZEN:\n\t\treturn EPT_BUSY;\n", "\tcase EPT_FROZEN:\n\t\treturn slot_swap(s, 0) ? 0 : EPT_LOOK_AGAIN;\n")]),
    "frozen_range_not_looked_at_before": ("ept/ops/each.c", [
        ("\tif (anything_frozen(me->ept, gfn, frames))\n", "\tif (anything_frozen(me->ept, gfn, frames) && !me)\n")]),
    "frozen_page_taken_for_a_hole": ("ept/path/collapse.c", [
        ("\t\tcase EPT_FILLING:\n\t\tcase EPT_FROZEN:\n\t\t\treturn EPT_BUSY;\n",
         "\t\tcase EPT_FILLING:\n\t\t\treturn EPT_BUSY;\n")]),
    "frozen_neighbour_refuses_a_range": ("ept/path/split.c", [
        ("return how->anything && small ? 0 : EPT_BUSY;", "return EPT_BUSY;")]),
    "move_keeps_requests": ("ept/tree/slot.c", [("s->entry & ~ENTRY_REQUESTED;", "s->entry;")]),
    "move_not_counted_where_it_went": ("ept/ops/move.c", [
        ("\t\t(void)leaf_counted(me, place->table, place->level, 1);\n", "\t\t(void)place;\n")]),
    "move_leaves_late_bits_behind": ("ept/ops/move.c", [("\tif (g->n)\n\t\tept_sync(g);\n", "")]),
    "failed_move_not_undone": ("ept/ops/move.c", [
        ("\tif (err && pass(me, to, from, frames, g, move_slot) == 0)", "\tif (err && !me)")]),
    "move_without_places": ("ept/ops/move.c", [
        ("\terr = pass(me, from, to, frames, g, prepare_slot);\n", "\terr = prepare_slot ? 0 : EPT_NO_TABLE;\n")]),
    "place_not_reserved": ("ept/ops/move.c", [
        ("\t\tif (slot_put(me, place, entry_with_kind(0, EPT_FROZEN)))\n\t\t\treturn 0;\n", "\t\treturn 0;\n")]),
    "tables_that_reach_out_stay": ("ept/ops/map.c", [
        ("\t\tgfn_t at = fmt_base(fmt, gfn, level);\n",
         "\t\tgfn_t at = ALIGN_UP(gfn, fmt_frames(fmt, level));\n")]),
    "failed_map_leaves_its_tables": ("ept/ops/map.c", [("\tdrop_tables(me, gfn, frames, &g);\n", "\t(void)frames;\n")]),
    "move_ignores_its_places_alignment": ("ept/ops/move.c", [
        ("\tif (IS_ALIGNED(to, fmt_frames(me->ept->fmt, s->level)))\n", "")]),
    "discarded_page_asked_for": ("ept/path/arrive.c", [
        ("\t\t\tif (s->entry & ENTRY_ZERO & ~special)\n\t\t\t\treturn EPT_DISCARDED;\n", "")]),
    "discarded_page_filled_quickly": ("ept/tree/table.c", [
        ("ENTRY_KIND_MASK | ENTRY_ZERO | ENTRY_COW,", "ENTRY_KIND_MASK | ENTRY_COW,")]),
    "shared_page_filled_quickly": ("ept/tree/table.c", [
        ("ENTRY_KIND_MASK | ENTRY_ZERO | ENTRY_COW,", "ENTRY_KIND_MASK | ENTRY_ZERO,")]),
    "zero_mark_lost_on_a_split": ("ept/path/split.c", [
        ("table_fill(me->ept, table, s->entry, -fmt_bytes(fmt, below));",
         "table_fill(me->ept, table, s->entry & ~ENTRY_ZERO, -fmt_bytes(fmt, below));")]),
    "poison_keeps_the_zero_mark": ("ept/ops/poison.c", [("\twas.zero = false;\n", "")]),
    "poisoned_page_keeps_its_request": ("ept/ops/poison.c", [("\twas.requested = false;\n", "")]),
    "withheld_rights_lost_on_a_split": ("ept/path/split.c", [
        ("return leaf_encode(ept, s);", "s.withheld = 0;\n\treturn entry_encode(ept->fmt, &s);")]),
    "withheld_rights_kept_on_a_split": ("ept/path/split.c", [
        ("return leaf_encode(ept, s);", "return entry_encode(ept->fmt, &s);")]),
    "withheld_rights_lost_on_a_collapse": ("ept/path/collapse.c", [
        ("m->leaf = leaf_encode(ept, s);",
         "s.kind = EPT_PRESENT;\n\tm->leaf = entry_encode(fmt, &s);")]),
    "large_leaf_executable": ("ept/tree/slot.h", [
        ("(ept->nx && s->level > PG_LEVEL_4K ? s->perms & EPT_X : 0)", "(ept->nx && s->level > PG_LEVEL_2M ? s->perms & EPT_X : 0)")]),
    "large_arrival_executable": ("ept/tree/table.c", [("\tept->nx = true;\n\tmake_leaves(ept);\n", "\tept->nx = true;\n")]),
    "recovery_without_freezing": ("ept/path/collapse.c", [
        ("\tm->freeze = withheld_of(ept, &s) & ~s.withheld;\n", "\tm->freeze = false;\n")]),
    "recovery_thaws_before_the_flush": ("ept/path/collapse.c", [
        ("\t\tm->what.kind = EPT_FROZEN;\n\t\tunlink_table(me, s, child, entry_encode(fmt, &m->what));\n\t\treturn false;\n",
         "\t\tm->what.kind = EPT_FROZEN;\n\t\tunlink_table(me, s, child, entry_encode(fmt, &m->what));\n"
         "\t\tatomic_store(s->at, m->leaf);\n\t\treturn false;\n")]),
    "executed_tables_collapse": ("ept/path/collapse.c", [
        ("\telse if (table_why(child) & EPT_WHY_NX & ~undo)\n\t\tr = EPT_EXECUTED;\n", "")]),
    "recovery_collapses_everything": ("ept/path/collapse.c", [
        ("\telse if (undo && !(table_why(child) & undo))\n\t\tr = 0;\n", "")]),
    "recovery_forgets_the_gib_it_began_in": ("ept/path/collapse.c", [
        ("(void)collapse_level(me, fmt_base(me->ept->fmt, from, level), *next,",
         "(void)collapse_level(me, from, *next,")]),
    "too_many_frozen_for_one_flush": ("ept/tree/gather.c", [
        ("if (g->n == EPT_GATHER_MAX || g->frozen == EPT_FROZEN_MAX)", "if (g->n == EPT_GATHER_MAX)")]),
    "region_without_pages": ("ept/ops/monitor.c", [
        ("\tfirst = MAX(first, UINT64_C(1));\n", "")]),
    "too_many_regions": ("ept/ops/monitor.c", [("i-- > 0 && m->n < m->max;", "i-- > 0 && m->n < EPT_REGIONS_MAX;")]),
    "accessed_bits_not_cleared_by_a_sample": ("ept/ops/monitor.c", [("\ts.accessed = false;\n", "\ts.accessed |= false;\n")]),
    "block_freed_with_a_reference_left": ("ept/ops/rmap.c", [("-1u) == 1)", "-1u) <= 2)")]),
    "extent_ends_a_frame_early": ("ept/ops/rmap.c", [
        ("return frame.v - e->backing.v < e->frames << PAGE_SHIFT;",
         "return frame.v - e->backing.v < (e->frames - 1) << PAGE_SHIFT;")]),
    "execute_only_mapped_where_it_cannot_be": ("ept/tree/limits.h", [
        ("ept->fmt->perms_of(ept->fmt->leaf(PG_LEVEL_4K, perms, EPT_WB)) == perms",
         "ept->fmt->perms_of != NULL")]),
    "late_bits_lost_at_a_recovery": ("ept/tree/gather.c", [
        ("leaf = f->leaf | late |", "leaf = f->leaf | (late & 0) |")]),
    "recovery_counts_only_what_collapsed": ("ept/path/collapse.c", [
        ("end - at >= size && budget--) {", "end - at >= size && budget) {\n\t\tuint64_t before = result->collapsed;"),
        ("\t\tat = fmt_base(ept->fmt, at, s.level) +", "\t\tbudget -= (unsigned int)(result->collapsed - before);\n\t\tat = fmt_base(ept->fmt, at, s.level) +")]),
    "poisoned_page_keeps_its_mark": ("ept/ops/poison.c", [
        ("\twas.tracked = false; /* nobody writes to it any more, and nobody takes the mark away */\n", "")]),
    # Arguments.
    "frames_may_end_behind_the_last_one": ("ept/tree/limits.h", [
        ("\t       frames <= (ept->backing_end - backing.v) >> PAGE_SHIFT;", "\t       frames;")]),
    "frames_may_begin_behind_the_last_one": ("ept/tree/limits.h", [
        ("backing.v < ept->backing_end &&", "ept &&")]),
    "width_of_the_machine_ignored": ("ept/tree/table.c", [
        ("\tif (bits < 64)\n", "\tif (bits < 12)\n")]),
    "foreign_frame_not_looked_at": ("ept/path/arrive.c", [
        ("if (!err && !backing_ok(me->ept, frame, 1))", "if (!err && !IS_ALIGNED(frame.v, PAGE_SIZE))")]),
    "any_memory_type_is_mapped": ("ept/ops/map.c", [(" ||\n\t    !memtype_ok(ept, memtype))", ")")]),
    "clone_gets_rights_that_it_cannot_give": ("ept/ops/clone.c", [
        ("\tif (!perms_ok(to->clone->ept, is.perms))\n\t\treturn EPT_INVALID;\n", "")]),
    "walk_goes_on_behind_the_space": ("ept/tree/iter.c", [
        (".end = gfn < space ? gfn + MIN(frames, space - gfn) : gfn,", ".end = gfn + (space ? frames : 0),")]),
    "census_in_steps_goes_on_behind_the_space": ("ept/tree/walk.c", [
        ("gfn_t last = MIN(end, ept->walk.space);", "gfn_t last = end;")]),
    "monitor_watches_behind_the_space": ("ept/ops/monitor.c", [
        ("if (!gfn_range_ok(ept, gfn, frames) || !min", "if (!ept || !min")]),
    "frames_without_a_descriptor_looked_up": ("ept/ops/rmap.c", [
        ("return index < pool->nframes && frames <= pool->nframes - index;", "return index <= UINT64_MAX && frames;")]),
}
