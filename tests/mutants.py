"""Deliberate one-line errors, each with the test that must catch it; see test_mutants.py."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """One error: ``old``, which stands once in ``file``, becomes ``new``; then the test ``caught_by`` must fail."""

    file: str
    old: str
    new: str
    caught_by: str
    why: str


PAIRS = "test_activations.py::test_pair_sums_and_their_partials"
MOMENTS = "test_activations.py::test_moments_are_hermite_moments"
BIVARIATE = "test_activations.py::test_bivariate_normal_matches_a_one_dimensional_integral"
GRADIENT = "test_overlap.py::test_flow_is_the_gradient_of_the_risk_in_weight_space"
CLOSED = "test_overlap.py::test_closed_finite_step_term_matches_tensor_quadrature"
POINTS = "test_overlap.py::test_finite_step_term_by_points_agrees_with_the_closed_form"
RATES = "test_overlap.py::test_noise_rates_are_the_diagonal_of_the_term[erf]"
SCIPY = "test_overlap.py::test_flow_agrees_with_scipy"
ORDER = "test_integrate.py::test_order_five_at_the_steps_and_four_between"
TABLEAU = "test_integrate.py::test_tableau_is_consistent"
PHILOX = "test_random.py::test_philox_gives_the_published_answers"
WORDS = "test_random.py::test_words_are_philox_of_coordinate_step_and_stream"
NORMALS = "test_random.py::test_samples_are_box_muller_of_those_words"
LITERAL = "test_sgd.py::test_every_step_is_that_of_the_literal_loop"
TWIN = "test_sgd.py::test_long_runs_stay_with_the_twin_at_awkward_sizes[erf-17-33]"
CALLS = "test_sgd.py::test_the_length_of_kernel_calls_changes_no_bit[float64]"
PATH = "test_complexity.py::test_path_follows_its_definition"
LEAST_SQUARES = "test_plateaus.py::test_slope_is_the_least_squares_line"
LINEAR = "test_comparison.py::test_first_passage_is_log_linear"

MUTANTS = [
    # ---- activations
    Mutant(
        "activations/_moments.py", "(k - 1) * t * before", "k * t * before", MOMENTS, "Hermite recursion: wrong degree"
    ),
    Mutant(
        "activations/_moments.py",
        "b[j] * c[1, j] + s * density(x)",
        "b[j] * c[1, j] + density(x)",
        MOMENTS,
        "mean of ReLU without its scale",
    ),
    Mutant(
        "activations/_normal.py",
        "0.5 * math.pi - 2.0 * y if big",
        "0.5 * math.pi - y if big",
        "test_activations.py::test_arcsine_matches_the_library_on_the_whole_interval",
        "half-angle factor 2",
    ),
    Mutant(
        "activations/_normal.py", "/ (2.0 * (1.0 - s * s))", "/ (1.0 - s * s)", BIVARIATE + "[0.3]", "½ of the exponent"
    ),
    Mutant(
        "activations/_normal.py",
        "return distribution(a) - _outer(a, -b, -rho)",
        "return distribution(b) - _outer(a, -b, -rho)",
        BIVARIATE + "[-0.95]",
        "wrong argument of the mirror image",
    ),
    Mutant("activations/_pairs.py", "-0.5 * tj * tj * inner", "-0.5 * tj * inner", PAIRS, "t for t²"),
    Mutant("activations/_pairs.py", "slopes[l] = g * scale", "slopes[l] = g", PAIRS, "chain rule of q12 dropped"),
    Mutant(
        "activations/_pairs.py", "* shift - q12 / t1 * slope", "* shift + q12 / t1 * slope", PAIRS, "sign in ∂K/∂q1"
    ),
    Mutant("activations/_pairs.py", "(y * P + A + rho * B)", "(y * P + A + B)", PAIRS, "correlation dropped in ∂K/∂b"),
    Mutant(
        "activations/_pairs.py",
        "edge, ramp = 0.0, max(mu, 0.0)",
        "edge, ramp = 0.0, 0.0",
        "test_kernels_extra.py::test_relu_pairs_that_coincide_with_unequal_biases",
        "limit of ∂K/∂q1 at ρ = 1",
    ),
    Mutant(
        "activations/_pairs.py",
        "max(-1.0, min(1.0, Q[j, l] / math.sqrt(Q[j, j] * Q[l, l])))",
        "Q[j, l] / math.sqrt(Q[j, j] * Q[l, l])",
        "test_kernels_extra.py::test_collinear_neurons_never_leave_the_cone",
        "rounding pushes ρ above 1",
    ),
    # ---- the target in the flow
    Mutant(
        "flows/_expectation.py",
        "0.5 * product * c[degree + 2, j]",
        "product * c[degree + 2, j]",
        GRADIENT,
        "½ in ∂C/∂q",
    ),
    Mutant(
        "flows/_expectation.py",
        "product * c[degree + 1, j]",
        "product * c[degree, j]",
        GRADIENT,
        "wrong degree in ∂C/∂b",
    ),
    Mutant(
        "flows/_expectation.py",
        "series.coefficients[term] * p * m[j",
        "series.coefficients[term] * m[j",
        GRADIENT,
        "factor p of m^p differentiated",
    ),
    Mutant(
        "flows/_expectation.py",
        "x * now - k * before",
        "x * now - before",
        "test_kernels_extra.py::test_target_at_the_points",
        "Hermite recursion of the points' targets",
    ),
    # ---- the flow
    Mutant("flows/_overlap.py", "0.5 * s.ka[j] - s.C[j]", "s.ka[j] - s.C[j]", GRADIENT, "½ of ½ aᵀKa"),
    Mutant("flows/_overlap.py", "row[k] *= -a[j] * a[k]", "row[k] *= a[j] * a[k]", GRADIENT, "sign: neurons repel"),
    Mutant(
        "flows/_overlap.py", "row[j] += 2.0 * a[j] * (", "row[j] += a[j] * (", GRADIENT, "factor 2 on the diagonal of B"
    ),
    Mutant("flows/_overlap.py", "(s.by_q[j] - s.k1[j])", "(s.by_q[j])", GRADIENT, "self-interaction dropped"),
    Mutant("flows/_overlap.py", "problem.kappa_b * a[j] * (", "problem.kappa_b * (", GRADIENT, "a_j dropped from b'"),
    Mutant(
        "flows/_overlap.py",
        "problem.kappa_a * (s.C",
        "(s.C",
        "test_overlap.py::test_frozen_layers_stay_and_label_noise_raises_the_floor",
        "η_a ignored",
    ),
    Mutant(
        "flows/_overlap.py", "s.S[j, k] + s.S[k, j]", "s.S[j, k] + s.S[j, k]", GRADIENT, "R' = BR + RB made lopsided"
    ),
    Mutant(
        "flows/_overlap.py",
        "problem.eta_d * s.gamma[j, k]",
        "0.5 * problem.eta_d * s.gamma[j, k]",
        "test_kernels_extra.py::test_finite_step_drift_is_eta_d_times_the_quadrature",
        "factor ½ on the drift of R",
    ),
    Mutant("flows/_overlap.py", "out[i, j] = s.gamma[j, j]", "out[i, j] = s.gamma[0, j]", RATES, "wrong index"),
    # ---- the finite-step term in closed form
    Mutant("flows/_noise_erf.py", "error = noise + mean_square", "error = mean_square", CLOSED, "label noise ignored"),
    Mutant("flows/_noise_erf.py", "- 2.0 * mean_product(", "- mean_product(", CLOSED, "factor 2 of the square"),
    Mutant(
        "flows/_noise_erf.py", "math.exp(-0.5 * (b[j]", "math.exp(-(b[j]", CLOSED, "½ of the tilt's weight, biases only"
    ),
    Mutant("flows/_noise_erf.py", "= 2.0 * al * a[n]", "= al * a[n]", CLOSED, "off-diagonal pairs counted once"),
    Mutant(
        "flows/_noise_erf.py",
        "value if l == n else 2.0 * value",
        "2.0 * value",
        CLOSED,
        "diagonal counted twice, biases",
    ),
    Mutant("flows/_noise_erf.py", "s.mu[r] = -(x * bj", "s.mu[r] = (x * bj", CLOSED, "sign of the tilted mean"),
    Mutant(
        "flows/_noise_erf.py",
        "x * (qk * m[j, p] - qjk * m[k, p])",
        "x * (qk * m[j, p] + qjk * m[k, p])",
        CLOSED,
        "sign in the inverse of the pair's matrix",
    ),
    Mutant("flows/closure.py", "weight * factorial(k) * comb", "weight * comb", CLOSED, "k! of the product formula"),
    Mutant(
        "flows/closure.py", "edge_times.append(float(power))", "edge_times.append(1.0)", CLOSED, "multiplicity dropped"
    ),
    # ---- the finite-step term by points
    Mutant("flows/_noise_points.py", "** 2 + noise", "** 2", POINTS, "label noise ignored"),
    Mutant("flows/_noise_points.py", "lam[:] = b[j]", "lam[:] = 0.0", POINTS + "[True]", "bias ignored"),
    Mutant(
        "flows/_noise_points.py",
        "rest -= L[i, k] * L[j, k]",
        "rest += L[i, k] * L[j, k]",
        "test_overlap.py::test_factor_of_a_singular_gram_matrix",
        "sign in the factor",
    ),
    Mutant("flows/_noise_points.py", "a[j] * a[k] / n", "a[j] * a[j] / n", POINTS + "[False]", "wrong index"),
    Mutant(
        "flows/_noise_points.py",
        "WIDTH * math.sqrt(2.0)",
        "WIDTH",
        "test_kernels_extra.py::test_smoothed_step_is_the_normal_distribution",
        "√2 of erfc dropped",
    ),
    Mutant(
        "flows/_noise_points.py",
        "smooth_step(lam[i])\n        square[i] = slope[i]",
        "smooth_step(lam[i])\n        square[i] = slope[i] * slope[i]",
        "test_kernels_extra.py::test_square_of_the_step_is_the_step",
        "a step squared twice",
    ),
    # ---- the flow's interface
    Mutant("flows/overlap.py", "float(np.sqrt(float(prod(", "float((float(prod(", CLOSED, "√S! normalisation"),
    Mutant(
        "flows/overlap.py",
        "energy=float(sum(value**2 for value in target.terms.values()))",
        "energy=target.energy",
        "test_overlap.py::test_risk_is_the_monte_carlo_mean_within_its_standard_error[0.0-erf]",
        "constant ignored",
    ),
    Mutant("flows/overlap.py", "eta_d=training.eta * network.dim if", "eta_d=training.eta if", SCIPY, "d dropped"),
    Mutant(
        "flows/overlap.py",
        "training.eta_b / training.eta)",
        "training.eta_b)",
        "test_overlap.py::test_trained_biases_move_and_lower_the_risk",
        "η_b not in units of η",
    ),
    Mutant(
        "flows/overlap.py",
        "training.eta * network.dim * gammas",
        "training.eta * gammas",
        "test_kernels_extra.py::test_stored_noise_rate_is_eta_d_times_the_quadrature",
        "d dropped from the noise rate",
    ),
    Mutant(
        "flows/overlap.py",
        "biased=network.has_biases or training.eta_b > 0",
        "biased=network.has_biases",
        "test_kernels_extra.py::test_biases_that_start_at_zero_are_trained",
        "trained biases ignored",
    ),
    # ---- the integrator
    Mutant("integrate/_explicit.py", "t + tableau.c[i] * h", "t + h", ORDER, "time of the stages"),
    Mutant("integrate/_explicit.py", "work.k[stages - 1]", "work.k[stages - 2]", ORDER, "stage handed on off by one"),
    Mutant(
        "integrate/_explicit.py",
        "weight, power = 0.0, 1.0",
        "weight, power = 0.0, theta",
        ORDER,
        "dense output: power off by one",
    ),
    Mutant(
        "integrate/_explicit.py",
        "if control[STEP] == 0.0:",
        "if counts[NEXT] < t_out.size:",
        "test_integrate.py::test_result_does_not_depend_on_chunks",
        "step size forgotten between calls",
    ),
    Mutant(
        "integrate/_explicit.py",
        "if error <= 1.0:",
        "if not error > 1.0:",
        "test_integrate.py::test_not_a_number_in_the_right_hand_side_ends_the_run_before_it",
        "NaN comparison flipped",
    ),
    Mutant(
        "integrate/_explicit.py",
        "if not largest(y) < control[BOUND]:",
        "if math.isnan(largest(y)):",
        "test_kernels_extra.py::test_growth_beyond_the_bound_is_divergence",
        "overflow check removed",
    ),
    Mutant(
        "integrate/_explicit.py",
        "scale = h / (atol",
        "scale = 1.0 / (atol",
        "test_kernels_extra.py::test_number_of_steps_follows_the_order",
        "error estimate without h",
    ),
    Mutant(
        "integrate/tableaus.py",
        "2.8971530571054935, -6.359448489975075",
        "2.8871530571054935, -6.349448489975075",
        ORDER,
        "a coefficient wrong, row sum kept",
    ),
    Mutant("integrate/tableaus.py", "[-1.203071208372362603, 1]", "[-1.2, 1]", TABLEAU, "dense output coefficient"),
    Mutant("integrate/tableaus.py", "1 / 66", "-1 / 66", TABLEAU, "sign in the error weights"),
    Mutant(
        "integrate/_loop.py",
        "if before < 0.0 and now >= 0.0:",
        "if before < 0.0 and now > 0.0:",
        "test_events.py::test_an_event_at_the_end_of_a_step_is_found_once_and_one_at_the_start_not",
        "an event at the end of a step missed",
    ),
    Mutant(
        "integrate/_loop.py",
        "return direction <= 0",
        "return direction >= 0",
        "test_events.py::test_times_and_states_of_crossings_by_direction",
        "direction of an event ignored",
    ),
    Mutant(
        "integrate/_loop.py",
        "if events.time[e] > min(t + end * h, last):",
        "if events.time[e] > last:",
        "test_events.py::test_a_terminal_event_ends_the_run_there_and_later_ones_are_not_seen",
        "events after the end of the run kept",
    ),
    Mutant(
        "integrate/_loop.py",
        "counts[STIFF] = EXPLICIT if counts[STIFF] else method.stiff",
        "counts[STIFF] = method.stiff",
        "test_stiff.py::test_auto_goes_over_to_the_stiff_method_and_back[3]",
        "never back from the stiff method",
    ),
    Mutant(
        "integrate/_stiff.py",
        "tableau.a[last, i] - tableau.a[last - 1, i]",
        "tableau.a[last, i]",
        "test_stiff.py::test_last_two_stages_tell_the_rate_of_a_linear_problem[dopri5]",
        "detector divides by the step in place of the stages' difference",
    ),
    Mutant(
        "integrate/_rock.py",
        "mu[j] + (1.0 + kappa[j]) * c - kappa[j] * c_before",
        "mu[j] + c",
        "test_stiff.py::test_rows_of_rock4_have_order_four_and_stay_below_the_damping[3]",
        "times of ROCK4's stages",
    ),
    Mutant(
        "integrate/_rock.py",
        "c += table.ending[row, i, j]",
        "c += 0.0",
        "test_methods.py::test_measured_orders_are_nominal_at_the_steps_and_between[0-rock4-4-3-steps4-4]",
        "times of ROCK4's last stages",
    ),
    Mutant(
        "integrate/_rosenbrock.py",
        "h * method.g[i] * work.k[TILT, j]",
        "0.0",
        "test_methods.py::test_measured_orders_are_nominal_at_the_steps_and_between[0-rodas-4-3-steps3-0]",
        "Rosenbrock method without ∂f/∂t",
    ),
    Mutant(
        "integrate/_rosenbrock.py",
        "x[k], x[p] = x[p], x[k]",
        "x[k] = x[k]",
        "test_stiff.py::test_factors_solve_and_the_row_sum_bounds_the_spectrum",
        "row exchanges forgotten",
    ),
    Mutant(
        "integrate/_stiff.py",
        "step / size * v[j]",
        "step * v[j]",
        "test_stiff.py::test_spectral_radius_and_jacobian_are_those_of_the_derivative",
        "power iteration without normalising",
    ),
    Mutant(
        "integrate/methods.py",
        "1.221224509226641",
        "1.221234509226641",
        "test_methods.py::test_measured_orders_are_nominal_at_the_steps_and_between[0-rodas-4-3-steps3-0]",
        "coefficient of RODAS",
    ),
    Mutant(
        "integrate/order8.py",
        "[1.0, -1.0] if k % 2 == 0",
        "[1.0, -1.0] if k % 2 == 1",
        "test_methods.py::test_tables_obey_the_order_conditions_at_the_end_and_between[dop853-8-7]",
        "nested basis of the dense output",
    ),
    # ---- random numbers
    Mutant("sgd/_random.py", "0xCD9E8D57", "0xCD9E8D59", PHILOX, "wrong Philox multiplier"),
    Mutant("sgd/_random.py", "0xBB67AE85", "0xBB67AE84", PHILOX, "wrong Philox key increment"),
    Mutant("sgd/_random.py", "U(np.uint64(seed) >> HIGH)", "U(seed)", WORDS, "high half of the seed lost"),
    Mutant("sgd/_random.py", "U(np.uint64(group) >> HIGH)", "U(0)", WORDS, "stream repeats after 2³² groups"),
    Mutant("sgd/_random.py", "U(word << SECOND) & SIGN", "U(word << FIRST) & SIGN", NORMALS, "signs of a pair tied"),
    Mutant("sgd/_random.py", "F(2.0**-31)", "F(2.0**-32)", NORMALS, "uniform on half the interval"),
    Mutant(
        "sgd/_random.py",
        "(F(I(radius[i] >> U(1))) + HALF)",
        "F(I(radius[i] >> U(1)))",
        "test_random.py::test_extreme_words_give_finite_normals_below_the_bound",
        "logarithm of 0",
    ),
    # ---- SGD
    Mutant("sgd/_full.py", "for q in range(t):", "for q in range(t - 1):", TWIN, "fused update off by one step"),
    Mutant("sgd/_full.py", "lam[j] += b[j]", "lam[j] += 0.0", TWIN, "bias ignored"),
    Mutant("sgd/_full.py", "slope = a[j] * ds[j]", "slope = (a[j] + second * s[j]) * ds[j]", TWIN, "W updated after a"),
    Mutant("sgd/_full.py", "b[j] += third * slope", "b[j] += third * ds[j]", LITERAL, "a_j dropped from the bias step"),
    Mutant("sgd/_full.py", "math.sqrt(noise) * xi", "noise * xi", LITERAL, "variance for standard deviation"),
    Mutant("sgd/_full.py", "draw_group(seed, LABELS,", "draw_group(seed, INPUTS,", LITERAL, "noise tied to the inputs"),
    Mutant("sgd/_full.py", "g21 += x2[i] * x1[i]", "g21 += x2[i] * x0[i]", TWIN, "wrong index in the Gram matrix"),
    Mutant("sgd/_full.py", "e2 * x2[i] + e3 * x3[i]", "e2 * x3[i] + e3 * x2[i]", TWIN, "samples swapped in odd rows"),
    Mutant(
        "sgd/_full.py",
        "sweep(W, x[now], x[1 - now]",
        "sweep(W, x[1 - now], x[1 - now]",
        TWIN,
        "update with later samples",
    ),
    Mutant("sgd/_full.py", "(start + done) // GROUP", "done // GROUP", CALLS, "samples restart with every call"),
    Mutant(
        "sgd/_full.py",
        "    C[:] = 0.0\n",
        "",
        "test_kernels_extra.py::test_a_group_that_ends_early_applies_its_own_steps_alone",
        "updates of the last group applied again",
    ),
    Mutant(
        "sgd/_full.py",
        "(k - 1.0) * He[i, k - 2]",
        "k * He[i, k - 2]",
        "test_sgd.py::test_labels_are_the_target",
        "Hermite index",
    ),
    Mutant(
        "sgd/_full.py",
        "if not size <= bound:",
        "if size > bound:",
        "test_sgd.py::test_a_poisoned_weight_is_found_at_once[W-nan-0-float64]",
        "NaN comparison flipped",
    ),
    Mutant(
        "sgd/_full.py",
        "size = size + abs(f)",
        "size = size + 0.0",
        "test_kernels_extra.py::test_an_output_beyond_the_bound_ends_the_run_before_its_step",
        "output left out of the overflow check",
    ),
    Mutant(
        "sgd/_full.py",
        "np.float64(u[i]) * np.float64(v[i])",
        "np.float64(u[i] * v[i])",
        "test_sgd.py::test_overlaps_are_sums_in_double_precision[float32]",
        "product rounded to float32",
    ),
    Mutant(
        "sgd/_full.py",
        "a[width:] = 0.0",
        "a[width:] *= 1.0",
        "test_sgd.py::test_padding_stays_zero[erf]",
        "padding left",
    ),
    # ---- leap path
    Mutant("complexity.py", "levels[-1] + energy / 2", "levels[-1] + energy", PATH, "½ of the risk"),
    Mutant("complexity.py", "mass[t] -= power", "mass[t] -= 1", PATH, "multiplicity of an exponent ignored"),
    Mutant(
        "complexity.py",
        "if out := [t for t in waiting.pop(m) if mass[t] == m]:",
        "if out := [t for t in waiting.pop(m) if mass[t] == m][:1]:",
        PATH,
        "ties",
    ),
    Mutant(
        "complexity.py",
        "if abs(c) > tol * norm]",
        "if abs(c) > tol]",
        "test_complexity.py::test_tolerance_is_relative_to_the_norm_without_the_constant",
        "tolerance not relative",
    ),
    # ---- plateaus and first passages
    Mutant(
        "plateaus.py",
        "((count**3 - count) / 12)",
        "((count**3 - count) / 6)",
        "test_kernels_extra.py::test_slope_of_a_steep_curve_is_the_least_squares_line",
        "factor 2 in the slope",
    ),
    Mutant("plateaus.py", "- (low + high) / 2 *", "- (low + high) *", LEAST_SQUARES, "mean index"),
    Mutant(
        "plateaus.py", "np.log(rule.length)", "rule.length", "test_plateaus.py::test_the_demo_story[300]", "ln dropped"
    ),
    Mutant(
        "plateaus.py",
        "falls_before and falls_after and end > 0",
        "falls_before and end > 0",
        "test_plateaus.py::test_too_short_or_without_a_drop",
        "drop after a plateau not asked for",
    ),
    Mutant(
        "plateaus.py",
        "rule.match * _gap(",
        "_gap(",
        "test_plateaus.py::test_matching_within_a_quarter_of_the_gap[0.63-None]",
        "share of the gap ignored",
    ),
    Mutant(
        "plateaus.py",
        "max(allowed, start - levels[0] + rule.slope * start)",
        "allowed",
        "test_plateaus.py::test_initial_plateau_may_lie_above_the_first_level_by_the_start_variance",
        "start variance",
    ),
    Mutant(
        "passages.py", "(risk[k - 1] - level) / (", "(level - risk[k]) / (", LINEAR, "share counted from the wrong end"
    ),
    Mutant(
        "passages.py",
        "steps[k - 1] * (steps[k] / steps[k - 1]) ** share",
        "steps[k - 1] + (steps[k] - steps[k - 1]) * share",
        LINEAR,
        "linear for logarithmic",
    ),
    Mutant(
        "passages.py",
        "~(risk > level)",
        "risk <= level",
        "test_kernels_extra.py::test_a_run_that_is_lost_and_comes_back_is_censored",
        "NaN comparison flipped",
    ),
    Mutant(
        "passages.py",
        "(place - low) * (",
        "(high - place) * (",
        "test_comparison.py::test_quantile_without_censoring_is_numpys",
        "weight of the wrong neighbour",
    ),
]
