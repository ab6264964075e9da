// Kernels for CPUs, each one pass over memory: layers of LIF neurons (equations: kernels/lif.py), spikes at one bit, the backward
// pass of pools, weight standardisation.
//
// Of a layer, N neurons lie side by side, time steps N apart. A block of neurons keeps its membrane potentials in the first-level
// cache while time runs, so each x[t], s[t], u[t] is read or written once. Products and sums round one by one (no fused
// multiply-add: -ffp-contract=off), so that spikes equal those of the plain-torch reference, every one.
//
// X is the type of currents, spikes and their gradients; V that of membrane potentials: double for double, else float.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace {

constexpr long BLOCK = 512;

struct bfloat16 {
    uint16_t bits;
};

inline float load(float x) { return x; }
inline double load(double x) { return x; }
inline float load(bfloat16 x) {
    const uint32_t wide = static_cast<uint32_t>(x.bits) << 16;
    float value;
    std::memcpy(&value, &wide, 4);
    return value;
}
inline void store(float& to, float value) { to = value; }
inline void store(double& to, double value) { to = value; }
inline void store(bfloat16& to, float value) {  // to the nearest, ties to even; NaN stays NaN
    uint32_t wide;
    std::memcpy(&wide, &value, 4);
    const uint32_t rounded = (wide + 0x7fff + ((wide >> 16) & 1)) >> 16;
    to.bits = static_cast<uint16_t>(value != value ? 0x7fc0 : rounded);
}

// exp(z) for z <= 0: 2^n e^r with |r| <= ln(2)/2, e^r by its Taylor sum; without branches, so that it runs in vectors.
template <class V> inline V exp_of_negative(V z);
template <> inline float exp_of_negative(float z) {
    z = z < -87.0f ? -87.0f : z;
    const float n = std::nearbyint(z * 1.44269504f);
    const float r = (z - n * 0.693359375f) + n * 2.12194440e-4f;
    float e = 1.0f / 5040;
    e = e * r + 1.0f / 720, e = e * r + 1.0f / 120, e = e * r + 1.0f / 24, e = e * r + 1.0f / 6, e = e * r + 0.5f;
    e = e * r + 1.0f, e = e * r + 1.0f;
    const int32_t exponent = (static_cast<int32_t>(n) + 127) << 23;
    float power;
    std::memcpy(&power, &exponent, 4);
    return e * power;
}
template <> inline double exp_of_negative(double z) {
    z = z < -700.0 ? -700.0 : z;
    const double n = std::nearbyint(z * 1.4426950408889634074);
    const double r = (z - n * 6.93145751953125e-1) - n * 1.42860682030941723212e-6;
    double e = 1.0 / 6227020800.0;
    e = e * r + 1.0 / 479001600, e = e * r + 1.0 / 39916800, e = e * r + 1.0 / 3628800, e = e * r + 1.0 / 362880;
    e = e * r + 1.0 / 40320, e = e * r + 1.0 / 5040, e = e * r + 1.0 / 720, e = e * r + 1.0 / 120, e = e * r + 1.0 / 24;
    e = e * r + 1.0 / 6, e = e * r + 0.5, e = e * r + 1.0, e = e * r + 1.0;
    const int64_t exponent = (static_cast<int64_t>(n) + 1023) << 52;
    double power;
    std::memcpy(&power, &exponent, 8);
    return e * power;
}

enum Surrogate { SIGMOID, TRIANGLE, RECTANGLE, ARCTANGENT, FAST_SIGMOID };  // as in fused.NUMBERS

template <Surrogate KIND, class V> inline V derivative(V x, V a) {
    if constexpr (KIND == SIGMOID) {
        const V e = exp_of_negative(-std::abs(a * x));
        return a * e / ((1 + e) * (1 + e));
    } else if constexpr (KIND == TRIANGLE) {
        const V height = 1 - a * std::abs(x);
        return height > 0 ? a * height : V(0);
    } else if constexpr (KIND == RECTANGLE) {
        return 2 * a * std::abs(x) < 1 ? a : V(0);
    } else if constexpr (KIND == ARCTANGENT) {
        const V y = V(1.5707963267948966192) * a * x;
        return a / 2 / (1 + y * y);
    } else {
        const V y = 1 + a * std::abs(x);
        return 1 / (y * y);
    }
}

struct Neuron {  // as ctypes builds it
    double threshold, alpha;
    int surrogate, hard, attached, in_space;  // attached: the gradient passes through the reset; in_space: not through time
};

template <class X, class V>
void forward(const Neuron& neuron, const X* x, const V* v_in, const V* decay, long decays, X* s, V* u, V* v_out, long T, long N,
             int threads) {
    const V threshold = static_cast<V>(neuron.threshold);
    const bool hard = neuron.hard;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (long begin = 0; begin < N; begin += BLOCK) {
        const long n = N - begin < BLOCK ? N - begin : BLOCK;
        V v[BLOCK], lambda[BLOCK];
        for (long i = 0; i < n; i++) v[i] = v_in ? v_in[begin + i] : V(0);
        for (long i = 0; i < n; i++) lambda[i] = decays == 1 ? decay[0] : decay[(begin + i) % decays];
        for (long t = 0; t < T; t++) {
            const X* x_t = x + t * N + begin;
            X* s_t = s + t * N + begin;
            V* u_t = u ? u + t * N + begin : nullptr;
            for (long i = 0; i < n; i++) {
                const V charged = lambda[i] * v[i] + load(x_t[i]);
                const bool fires = charged >= threshold;
                store(s_t[i], fires ? V(1) : V(0));
                v[i] = fires ? (hard ? V(0) : charged - threshold) : charged;
                if (u_t) u_t[i] = charged;
            }
        }
        std::memcpy(v_out + begin, v, n * sizeof(V));
    }
}

template <class X, class V, Surrogate KIND>
void backward(const Neuron& neuron, const V* u, const X* g_s, const V* g_v_in, const V* v_in, const V* decay, long decays, X* g_x,
              V* g_v_out, V* g_decay, long T, long N, int threads) {
    const V threshold = static_cast<V>(neuron.threshold), alpha = static_cast<V>(neuron.alpha);
    const V kept = neuron.hard ? V(0) : V(1);                                      // of g_v where a neuron fired
    const V lowered = neuron.attached && !neuron.hard ? threshold : V(0);          // what a spike takes from v, soft reset
    const V cleared = neuron.attached && neuron.hard ? V(1) : V(0);                // ... hard reset, in parts of u
    const V through_time = neuron.in_space ? V(0) : V(1);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (long begin = 0; begin < N; begin += BLOCK) {
        const long n = N - begin < BLOCK ? N - begin : BLOCK;
        V g_v[BLOCK], lambda[BLOCK], of_decay[BLOCK];
        for (long i = 0; i < n; i++) g_v[i] = g_v_in ? g_v_in[begin + i] * through_time : V(0);
        for (long i = 0; i < n; i++) lambda[i] = (decays == 1 ? decay[0] : decay[(begin + i) % decays]) * through_time;
        for (long i = 0; i < n; i++) of_decay[i] = 0;
        for (long t = T - 1; t >= 0; t--) {
            const V* u_t = u + t * N + begin;
            const X* g_s_t = g_s ? g_s + t * N + begin : nullptr;
            X* g_x_t = g_x + t * N + begin;
            V g_u[BLOCK];
            for (long i = 0; i < n; i++) {
                const V h = (g_s_t ? V(load(g_s_t[i])) : V(0)) - g_v[i] * (lowered + cleared * u_t[i]);
                g_u[i] = h * derivative<KIND>(u_t[i] - threshold, alpha) + (u_t[i] >= threshold ? kept * g_v[i] : g_v[i]);
                store(g_x_t[i], g_u[i]);
                g_v[i] = lambda[i] * g_u[i];
            }
            if (!g_decay) continue;
            for (long i = 0; i < n; i++) {
                V v = v_in ? v_in[begin + i] : V(0);
                if (t > 0) v = u_t[i - N] >= threshold ? kept * (u_t[i - N] - threshold) : u_t[i - N];
                of_decay[i] += through_time * g_u[i] * v;
            }
        }
        if (g_v_out) std::memcpy(g_v_out + begin, g_v, n * sizeof(V));
        if (g_decay) std::memcpy(g_decay + begin, of_decay, n * sizeof(V));
    }
}

template <class X, class V, class... Rest> void choose_backward(const Neuron& neuron, Rest... rest) {
    switch (neuron.surrogate) {
        case SIGMOID: return backward<X, V, SIGMOID>(neuron, rest...);
        case TRIANGLE: return backward<X, V, TRIANGLE>(neuron, rest...);
        case RECTANGLE: return backward<X, V, RECTANGLE>(neuron, rest...);
        case ARCTANGENT: return backward<X, V, ARCTANGENT>(neuron, rest...);
        default: return backward<X, V, FAST_SIGMOID>(neuron, rest...);
    }
}

template <class X> void pack(const X* s, uint8_t* bits, long n, int threads) {
    const long bytes = (n + 7) / 8;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (long begin = 0; begin < bytes; begin += BLOCK) {
        const long end = begin + BLOCK < bytes ? begin + BLOCK : bytes;
        uint8_t gathered[BLOCK] = {};
        for (long j = 0; j < 8; j++) {
            const long last = n - j * bytes < end ? n - j * bytes : end;
            for (long i = begin; i < last; i++) gathered[i - begin] |= static_cast<uint8_t>((load(s[j * bytes + i]) != 0) << j);
        }
        std::memcpy(bits + begin, gathered, end - begin);
    }
}

template <class X> void unpack(const uint8_t* bits, X* s, long n, int threads) {
    const long bytes = (n + 7) / 8;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (long begin = 0; begin < bytes; begin += BLOCK) {
        const long end = begin + BLOCK < bytes ? begin + BLOCK : bytes;
        for (long j = 0; j < 8; j++) {
            const long last = n - j * bytes < end ? n - j * bytes : end;
            for (long i = begin; i < last; i++) store(s[j * bytes + i], (bits[i] >> j) & 1 ? 1 : 0);
        }
    }
}

// g [N, h, w, C] -> g_x [N, H, W, C]: of the mean over the k x k window (i, j), all of it 1 / k^2 of g[i, j]; 0 outside of windows.
template <class X, class V>
void pool_backward(const X* g, X* g_x, long N, long C, long H, long W, long k, int threads) {
    const long h = H / k, w = W / k;
    const V part = V(1) / static_cast<V>(k * k);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (long row = 0; row < N * H; row++) {
        const long n = row / H, i = row % H / k;
        X* to = g_x + row * W * C;
        if (i < h) {
            const X* from = g + (n * h + i) * w * C;
            for (long j = 0; j < w; j++, from += C)
                for (long copy = 0; copy < k; copy++, to += C)
                    for (long c = 0; c < C; c++) store(to[c], V(load(from[c])) * part);
        }
        for (X* end = g_x + (row + 1) * W * C; to < end; to++) store(*to, V(0));
    }
}

// Weight standardisation (kernels/standardise.py): weight, out [O, N], factor, mean, scale [O]. Sums are in double precision.
template <class X>
void standardise(const X* weight, const X* factor, X* out, double* mean, double* scale, long O, long N, double eps, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (long o = 0; o < O; o++) {
        const X* w = weight + o * N;
        double sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
        for (long i = 0; i < N; i++) sum += w[i];
        const double middle = sum / N;
#pragma omp simd reduction(+ : squares)
        for (long i = 0; i < N; i++) squares += (w[i] - middle) * (w[i] - middle);
        mean[o] = middle, scale[o] = 1 / std::sqrt(squares * N / (N - 1) + eps);
        const double times = factor[o] * scale[o];
        for (long i = 0; i < N; i++) out[o * N + i] = static_cast<X>((w[i] - middle) * times);
    }
}

template <class X>
void standardise_backward(const X* g, const X* weight, const X* factor, const double* mean, const double* scale, X* g_weight,
                          X* g_factor, long O, long N, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (long o = 0; o < O; o++) {
        const X *w = weight + o * N, *from = g + o * N;
        const double middle = mean[o], r = scale[o];
        double sum = 0, product = 0;
#pragma omp simd reduction(+ : sum, product)
        for (long i = 0; i < N; i++) sum += from[i], product += from[i] * (w[i] - middle);
        g_factor[o] = static_cast<X>(r * product);
        const double direct = factor[o] * r, shift = sum / N, bend = r * r * product * N / (N - 1);
        for (long i = 0; i < N; i++)
            g_weight[o * N + i] = static_cast<X>(direct * (from[i] - shift - bend * (w[i] - middle)));
    }
}

}  // namespace

#define FOR_TYPE(NAME, X, V)                                                                                                     \
    extern "C" void lif_forward_##NAME(const Neuron* neuron, const X* x, const V* v_in, const V* decay, long decays, X* s, V* u, \
                                       V* v_out, long T, long N, int threads) {                                                  \
        forward<X, V>(*neuron, x, v_in, decay, decays, s, u, v_out, T, N, threads);                                              \
    }                                                                                                                            \
    extern "C" void lif_backward_##NAME(const Neuron* neuron, const V* u, const X* g_s, const V* g_v_in, const V* v_in,          \
                                        const V* decay, long decays, X* g_x, V* g_v_out, V* g_decay, long T, long N,             \
                                        int threads) {                                                                           \
        choose_backward<X, V>(*neuron, u, g_s, g_v_in, v_in, decay, decays, g_x, g_v_out, g_decay, T, N, threads);               \
    }                                                                                                                            \
    extern "C" void pool_backward_##NAME(const X* g, X* g_x, long N, long C, long H, long W, long k, int threads) {              \
        pool_backward<X, V>(g, g_x, N, C, H, W, k, threads);                                                                     \
    }                                                                                                                            \
    extern "C" void pack_##NAME(const X* s, uint8_t* bits, long n, int threads) { pack(s, bits, n, threads); }                   \
    extern "C" void unpack_##NAME(const uint8_t* bits, X* s, long n, int threads) { unpack(bits, s, n, threads); }

FOR_TYPE(float32, float, float)
FOR_TYPE(float64, double, double)
FOR_TYPE(bfloat16, bfloat16, float)

#define FOR_WEIGHTS(NAME, X)                                                                                                     \
    extern "C" void standardise_##NAME(const X* weight, const X* factor, X* out, double* mean, double* scale, long O, long N,    \
                                       double eps, int threads) {                                                                \
        standardise(weight, factor, out, mean, scale, O, N, eps, threads);                                                       \
    }                                                                                                                            \
    extern "C" void standardise_backward_##NAME(const X* g, const X* weight, const X* factor, const double* mean,                \
                                                const double* scale, X* g_weight, X* g_factor, long O, long N, int threads) {    \
        standardise_backward(g, weight, factor, mean, scale, g_weight, g_factor, O, N, threads);                                 \
    }

FOR_WEIGHTS(float32, float)
FOR_WEIGHTS(float64, double)
