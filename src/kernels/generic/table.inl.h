// The table of the instruction set whose folder includes this. consteval: no code is left behind.

consteval KernelTable make_table(Isa isa, std::string_view name) {
  KernelTable table;
  table.isa = isa;
  table.name = name;
  table.gemm_quant = gemm_quant;
  table.gemm_float = gemm_float;
  table.quantize = quantize;
  table.rms_norm = rms_norm;
  table.layer_norm = layer_norm;
  table.add = add_vectors;
  table.scale = scale_vector;
  table.add_scaled = add_scaled;
  table.silu_mul = silu_mul;
  table.gelu_tanh_mul = gelu_tanh_mul;
  table.relu_squared_mul = relu_squared_mul;
  table.gelu_erf = gelu_erf;
  table.clamped_swiglu = clamped_swiglu;
  table.sigmoid_mul = sigmoid_mul;
  table.softplus_decay = softplus_decay;
  table.convolve_silu = convolve_silu;
  table.delta_rule = delta_rule;
  table.xielu = xielu;
  table.rope = rope;
  table.store_kv = store_kv;
  table.store_kv_rest = store_kv_rest;
  table.attend = attend;
  table.divide = divide_vector;
  table.argmax = argmax;
  table.exp_sum = exp_sum;
  table.softcap = softcap;
  return table;
}
