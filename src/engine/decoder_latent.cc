// The Decoder's attention through latents. With K_h and V_h the matrices that make head h's key and
// value of a latent, its score (K_h c) . q is c . (K_h^T q), and what it adds up, V_h c by shares,
// is V_h of the latents' sum: the heads attend to the latents themselves, as to one KV head.
#include <algorithm>
#include <array>

#include "engine/decoder.h"
#include "engine/decoder_scratch.h"

namespace minerva::engine {

void Decoder::project_latents(unsigned thread, std::size_t layer) {
  const ModelConfig& c = model_->config();
  const LatentConfig& l = c.latent;
  const LayerWeights& w = model_->layer(layer);
  const std::size_t count = s_->tokens.size();
  Rows& r = rows(thread);

  const bool has_query_latent = l.query_rank != 0;
  const std::array products = {has_query_latent ? Product{&w.latent.query_down, &s_->query_latent}
                                                : Product{&w.q, &s_->head_queries},
                               Product{&w.latent.down, &s_->latent}};
  multiply_all(r.normed, products, thread);
  pool_.barrier();  // they are complete

  if (has_query_latent) {
    const Share mine = rows_of(count, thread);
    for (std::size_t t = mine.begin; t < mine.end; ++t) {
      k_.rms_norm(s_->query_latent.row(t), w.latent.query_norm.weight.data(), l.query_rank,
                  kLatentEps, r.query_latent.row(t));
    }
    r.query_latent.quantize(k_, count, mine.begin, mine.end);
    rows_barrier();
    multiply(r.query_latent, w.q, count, share_of(w.q.weight.panels(), thread, pool_.size()),
             s_->head_queries);
    pool_.barrier();  // every head's query is complete
  }

  // A head belongs to one thread, which waits for nobody.
  const std::size_t rotated = c.ropes[0].n_rot;
  const Share heads = share_of(c.heads, thread, pool_.size());
  GroupedActivations& in = s_->head_plain[thread];
  for (std::size_t h = heads.begin; h < heads.end; ++h) {
    const PackedWeight& up = w.latent.key_up.matrices[h];
    for (std::size_t t = 0; t < count; ++t) {
      in.put(k_, {0, count}, t, s_->head_queries.row(t) + h * (l.plain + rotated));
    }
    in.multiply(k_, up, {0, count}, 0, up.panels(), s_->q.row(0) + h * c.head_dim, s_->q.stride);
    for (std::size_t t = 0; t < count; ++t) {
      const float* query = s_->head_queries.row(t) + h * (l.plain + rotated);
      std::copy_n(query + l.plain, rotated, s_->q.row(t) + h * c.head_dim + l.rank);
    }
  }
}

void Decoder::rotate_and_store_latent(std::size_t token, std::size_t layer) {
  const ModelConfig& c = model_->config();
  const LatentConfig& l = c.latent;
  const std::size_t pairs = ropes_[0].pairs();
  const float* cos = s_->cos[0].data() + token * pairs;
  const float* sin = s_->sin[0].data() + token * pairs;
  const bool halves = c.ropes[0].halves;
  k_.rope(s_->q.row(token) + l.rank, c.heads, c.head_dim, 2 * pairs, cos, sin, halves);

  const float* latent = s_->latent.row(token);
  float* k = s_->k.row(token);
  k_.rms_norm(latent, model_->layer(layer).latent.norm.weight.data(), l.rank, kLatentEps, k);
  std::copy_n(latent + l.rank, 2 * pairs, k + l.rank);
  k_.rope(k + l.rank, 1, c.head_dim, 2 * pairs, cos, sin, halves);

  // The value is the key: its rotated part is added up for nothing.
  store(s_->tokens[token], layer, 0, k, k, c.head_dim);
}

void Decoder::expand_values(unsigned thread, std::size_t layer) {
  const ModelConfig& c = model_->config();
  const LatentWeights& w = model_->layer(layer).latent;
  const std::size_t count = s_->tokens.size();
  const Share heads = share_of(c.heads, thread, pool_.size());
  GroupedActivations& in = s_->head_latent[thread];
  for (std::size_t h = heads.begin; h < heads.end; ++h) {
    const PackedWeight& up = w.value_up.matrices[h];
    for (std::size_t t = 0; t < count; ++t) {
      in.put(k_, {0, count}, t, s_->attended.row(t) + h * c.head_dim);
    }
    in.multiply(k_, up, {0, count}, 0, up.panels(), s_->values.row(0) + h * c.latent.value_dim,
                s_->values.stride);
  }
  pool_.barrier();  // every head's values are complete
}

}  // namespace minerva::engine
