// Keys and values of past tokens, in pages of 32 positions with reference counts. A page belongs to
// a group of layers that keep the same positions: all layers that see everything form one group,
// all layers with one sliding window another, whose pages are given back as they fall out of sight.
// A layer that attends to another one's keys and values has no place of its own. Layers that keep a
// state instead (DeltaConfig) form one more group, of which a sequence has a single page: the state
// behind its last position, which cannot go back to an earlier one.
// An exact sequence has each page twice: the second one holds what rounding to f16 took from the
// first, so that what is read is all but what was computed in f32.
// Owned and used by one thread (the batcher's); only the counters may be read from others.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/model_config.h"
#include "kernels/kernel_table.h"

namespace minerva::engine {

using PageId = std::uint32_t;
inline constexpr PageId kNoPage = ~PageId{0};
inline constexpr std::size_t kPage = kernels::kPagePositions;
// The longest chunk that a step may write to one sequence; sliding windows keep room for it.
inline constexpr std::size_t kChunkMax = 512;

// Which layers share page tables.
struct KvGroup {
  std::size_t window = 0;  // 0: all positions are kept
  std::size_t layers = 0;
  std::size_t page_bytes = 0;
  bool state = false;  // one page a sequence, of float32
};

class KvLayout {
 public:
  explicit KvLayout(const ModelConfig& config);

  std::span<const KvGroup> groups() const { return groups_; }
  std::size_t group_of(std::size_t layer) const { return places_[layer].group; }

  // Where K and V of a layer's KV head lie in a page of its group, in f16 values.
  std::size_t k_offset(std::size_t layer, std::size_t kv_head) const;
  std::size_t v_offset(std::size_t layer, std::size_t kv_head) const;

  // Where a layer's state begins in the page of its group, in floats.
  std::size_t state_offset(std::size_t layer) const { return places_[layer].offset; }
  bool has_states() const { return state_group_ < groups_.size(); }
  std::size_t state_group() const { return state_group_; }

  // Pages of a group that one sequence of this length can hold at once.
  std::size_t pages_for(std::size_t group, std::size_t positions) const;
  // Bytes that one sequence of this length can hold at once.
  std::uint64_t bytes_for(std::size_t positions) const;

 private:
  struct Place {
    std::size_t group;
    std::size_t offset;  // of the layer's values in a page
    std::size_t head_dim;
  };
  std::size_t group_for(std::size_t window, bool state);
  std::vector<KvGroup> groups_;
  std::vector<Place> places_;
  std::size_t state_group_ = ~std::size_t{0};
};

// The pages of one sequence.
struct SequenceKv {
  std::size_t length = 0;  // positions written
  // [group][position / 32]; kNoPage once out of sight. Behind an exact sequence's groups the tables
  // of what rounding took, in the same order. Of states there is a single page, from the first
  // token on, and nothing that rounding took.
  std::vector<std::vector<PageId>> tables;
};

class KvPool {
 public:
  // Room for `sequences` sequences of `positions` each, at least; the memory is touched only when
  // pages are used.
  static Result<std::unique_ptr<KvPool>> create(KvLayout layout, std::uint64_t budget_bytes,
                                                std::size_t positions);

  const KvLayout& layout() const { return layout_; }

  // Memory that was never used before, beyond that of one sequence of `positions`, is taken only
  // where `may_grow` allows so many bytes more; it is asked once for several pages.
  void grow_if(std::function<bool(std::uint64_t bytes)> may_grow, std::size_t positions);

  SequenceKv make_sequence(bool exact = false) const;
  bool is_exact(const SequenceKv& kv) const { return kv.tables.size() > layout_.groups().size(); }
  // Makes positions [kv.length, kv.length + count) writable: allocates pages, and copies a page
  // that is shared. False when there are not enough free pages; nothing has changed then.
  bool reserve(SequenceKv& kv, std::size_t count);
  // The same pages under another sequence; a later write copies what is shared.
  SequenceKv fork(const SequenceKv& kv);
  // Forgets positions from `length` on. With states, which hold all positions together, it forgets
  // all of them unless `length` is kv.length: look at that afterwards.
  void truncate(SequenceKv& kv, std::size_t length);
  // Gives back pages that no later token of their group can see.
  void drop_out_of_sight(SequenceKv& kv);
  void release(SequenceKv& kv);

  const std::uint16_t* page(std::size_t group, PageId id) const;
  std::uint16_t* writable_page(std::size_t group, PageId id);
  // The states of a sequence that has pages reserved.
  float* states(const SequenceKv& kv);

  std::size_t used_pages() const { return used_.load(std::memory_order_relaxed); }
  // Memory that was ever written: a page that is free again keeps it.
  std::uint64_t touched_bytes() const { return touched_.load(std::memory_order_relaxed); }
  std::size_t total_pages() const { return total_; }
  // True when a sequence of this length fits into the empty pool.
  bool can_ever_hold(std::size_t positions, bool exact = false) const;
  // The longest exact sequence, of at most `positions`, for which that is true.
  std::size_t longest_exact(std::size_t positions) const;
  // Fills freed pages with NaN, so that a use after release shows (tests).
  void poison_freed_pages(bool on) { poison_ = on; }

 private:
  struct Arena {
    std::unique_ptr<std::byte[]> memory;
    std::vector<std::uint32_t> references;
    std::vector<PageId> free;
    std::size_t touched = 0;   // pages [0, touched) were handed out before
    std::size_t promised = 0;  // pages that need no leave
  };
  KvPool(KvLayout layout, std::vector<Arena> arenas, std::size_t total);
  bool may_touch(std::span<const std::size_t> missing);
  // The arena of a sequence's table.
  std::size_t group_of(std::size_t table) const { return table % layout_.groups().size(); }
  PageId allocate(std::size_t group);
  void unref(std::size_t group, PageId id);
  std::byte* bytes_of(std::size_t group, PageId id) const;
  // Pages of a sequence's table once it has so many positions.
  std::size_t pages_wanted(std::size_t table, std::size_t positions) const;

  KvLayout layout_;
  std::vector<Arena> arenas_;
  std::size_t total_ = 0;
  std::atomic<std::size_t> used_{0};
  std::atomic<std::uint64_t> touched_{0};
  std::function<bool(std::uint64_t)> may_grow_;  // empty: always
  std::uint64_t allowed_ = 0;                    // bytes of leave that are not used up
  bool poison_ = false;
};

}  // namespace minerva::engine
