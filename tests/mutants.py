"""Deliberate one-line errors, each with the test that must catch it; see test_mutants.py."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """One error: ``old``, which stands once in ``file``, becomes ``new``; then the test ``caught_by`` must fail."""

    file: str
    old: str
    new: str
    caught_by: str
    why: str


PAIRS = "test_pairs.py::test_pair_sums_and_their_partials"
MOMENTS = "test_moments.py::test_moments_are_hermite_moments"
ANY_SIZE = "test_pairs.py::test_pairs_of_any_size_and_correlation"
BIVARIATE = "test_pairs.py::test_bivariate_normal_matches_a_one_dimensional_integral"
GRADIENT = "test_overlap.py::test_flow_is_the_gradient_of_the_risk_in_weight_space"
CLOSED = "test_overlap.py::test_closed_finite_step_term_matches_tensor_quadrature"
POINTS = "test_overlap.py::test_finite_step_term_by_points_agrees_with_the_closed_form"
RATES = "test_overlap.py::test_noise_rates_are_the_diagonal_of_the_term[erf]"
SCIPY = "test_overlap.py::test_flow_agrees_with_scipy"
MEAN_FIELD = "test_overlap_rules.py::test_every_rule_follows_the_gradient_of_its_loss[square-mean_field-erf-gaussian]"
CORRELATION = "test_overlap_rules.py::test_every_rule_follows_the_gradient_of_its_loss[correlation-plain-erf-teacher]"
FORMS = "test_overlap_rules.py::test_terms_and_points_are_two_forms_of_one_flow[square-series]"
STEP = "test_overlap_map.py::test_a_step_is_the_literal_formula[gaussian]"
SADDLE = "test_overlap_teacher.py::test_the_symmetric_saddle_is_a_fixed_point_of_the_gradient_flow[2]"
RULE = "test_two_radii.py::test_"
FINITE = "test_correlation_steps.py::test_finite_steps_add_their_share_to_the_norm"
ALONE = "test_correlation_steps.py::test_noise_of_a_neuron_alone_is_the_quadrature"
EXIT = "test_search_phase.py::test_mean_exit_time_is_that_of_the_boundary_problem"
LANED = "test_lanes.py::test_"
ORDER = "test_integrate.py::test_order_five_at_the_steps_and_four_between"
TABLEAU = "test_integrate.py::test_tableau_is_consistent"
PHILOX = "test_random.py::test_philox_gives_the_published_answers"
WORDS = "test_random.py::test_words_are_philox_of_coordinate_step_and_stream"
NORMALS = "test_random.py::test_samples_are_box_muller_of_those_words"
LITERAL = "test_sgd.py::test_every_step_is_that_of_the_literal_loop"
POWERS = "test_schedules.py::test_steps_and_step_sizes_are_the_powers_of_the_theorem"
ORDER_OF_LEAPS = "test_schedules.py::test_leaps_that_do_not_increase"
FORECAST = "test_memory.py::test_the_forecast_is_what_is_allocated[float64-sampled-large dim]"
CONTAINER = "test_memory.py::test_a_container_may_have_less_than_the_machine"
UNKNOWN = "test_memory.py::test_one_unknown_limit_leaves_the_others"
LOSSES = "test_sgd_sampled.py::test_losses_are_the_literal_formula"
TWIN = "test_sgd.py::test_long_runs_stay_with_the_twin_at_awkward_sizes[erf-17-33]"
CALLS = "test_sgd_bits.py::test_the_length_of_kernel_calls_changes_no_bit[float64-plain]"
EVERYTHING = "test_sgd.py::test_long_runs_with_everything_stay_with_the_twin"
BATCHED = "test_sgd_batch.py::test_long_runs_with_everything_stay_with_the_twin"
SLICED = BATCHED + "[150-plain-gaussian]"
ANY_BATCH = "test_sgd_batch.py::test_every_step_is_that_of_the_literal_loop"
PRODUCTS = "test_sgd_batch.py::test_products_at_awkward_sizes[float64-70-1030]"
REUSED = "test_sgd_sphere.py::test_long_runs_on_the_sphere_and_with_reuse_stay_with_the_twin"
GROWTH = "test_sgd_sphere.py::test_lengths_stay_1_where_rounding_grows"
PATH = "test_complexity.py::test_path_follows_its_definition"
LEAST_SQUARES = "test_plateaus.py::test_slope_is_the_least_squares_line"
LINEAR = "test_comparison.py::test_first_passage_is_log_linear"

SLOPES = "test_mean_field.py::test_risk_is_the_plain_sum_and_the_slopes_are_the_plain_averages"
APART = "test_mean_field_rules.py::test_under_the_correlation_loss_neurons_do_not_meet"
PHASES = "test_integrate.py::test_a_schedule_is_integrated_phase_by_phase"

SPECTRUM = "test_stationary.py::test_the_spectrum_is_that_of_the_risk_in_weight_space"
ESCAPE = "test_stationary.py::test_the_plateau_of_a_leap_of_two_and_its_escape"
CUBIC = "test_stationary.py::test_a_leap_of_three_from_zero_overlaps_has_no_rate"
TEXTBOOK = "test_right_hand_side.py::test_the_jacobian_is_that_of_the_formulas_by_complex_steps"

WRITTEN = "test_layerwise.py::test_every_step_is_that_of_the_algorithm_as_it_is_written"
LAYERED = "test_layerwise.py::test_long_runs_stay_with_the_twin_at_awkward_sizes[erf-plain-gaussian]"
BEYOND = "test_layerwise.py::test_a_start_beyond_r_is_released_by_the_first_step_and_not_before"
RIDGE = "test_ridge.py::test_"

CHAIN = "test_chain.py::test_every_step_is_that_of_the_growing_basis"
CHAIN_LONG = "test_chain.py::test_long_runs_with_everything_stay_with_the_twin"
CHAIN_LAW = "test_chain_law.py::test_the_law_is_that_of_sgd"
CHAIN_LENGTHS = "test_chain_kernels.py::test_lengths_are_those_of_the_full_rejection_method[2]"
RADII = "test_chain.py::test_two_radii_are_those_of_the_literal_steps_releases_included[60-0.0]"
RESUMED = "test_checkpoints.py::test_stopped_and_resumed_again_and_again_gives_the_same_bits"

ALONE_DRAWS = "test_alone.py::test_draws_are_those_of_the_counters"
ALONE_AGAIN = "test_alone.py::test_rejected_candidates_are_drawn_again"
ALONE_STEP = "test_alone.py::test_every_step_is_that_of_the_twin[free]"
ALONE_BATCH = "test_alone.py::test_every_step_is_that_of_the_twin[sphere in batches]"
ALONE_RADII = "test_alone.py::test_every_step_is_that_of_the_twin[radii]"
ALONE_SAM = "test_alone.py::test_every_step_is_that_of_the_twin[sam on the sphere]"
SURVIVAL = "test_survival.py::test_quantiles_intervals_and_survival_are_those_by_hand"

MUTANTS = [
    # ---- right-hand sides as functions, and saddles
    Mutant("flows/plain.py", "R[:] = 0.5 * (R + R.T)", "R[:] = R", TEXTBOOK, "R need not be symmetric"),
    Mutant("flows/plain.py", "/ (2 * h)", "/ h", TEXTBOOK, "central difference over one step"),
    Mutant(
        "flows/plain.py",
        'side="right"',
        'side="left"',
        "test_right_hand_side.py::test_the_phase_of_a_schedule_is_that_of_the_time[overlap]",
        "a phase includes its end",
    ),
    Mutant("spectrum.py", "B = 0.5 * matrix", "B = matrix", SPECTRUM, "rates of squares for those of weights"),
    Mutant(
        "spectrum.py", "if j == k else np.sqrt(0.5)", "if j == k else 0.5", SPECTRUM, "changes of R not of length 1"
    ),
    Mutant(
        "spectrum.py",
        "return 0.5 * rates",
        "return rates",
        "test_stationary.py::test_rates_of_squares_are_halved[0.3]",
        "squares grow twice as fast as weights, with noise",
    ),
    Mutant("stationary.py", "np.append(-slope,", "np.append(slope,", ESCAPE, "steps uphill"),
    Mutant("stationary.py", "outward > OUTWARD * fastest and", "outward < -OUTWARD and", CUBIC, "inward for outward"),
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
        "test_pairs.py::test_arcsine_matches_the_library_on_the_whole_interval",
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
    Mutant(
        "activations/_moments.py",
        "(k + q[j]) * before",
        "(k - q[j]) * before",
        MOMENTS,
        "GELU: sign of its own variance",
    ),
    Mutant(
        "activations/_moments.py",
        "math.sqrt(n) * (1.0 - q[j])",
        "math.sqrt(n) * (1.0 + q[j])",
        MOMENTS,
        "backward heat",
    ),
    Mutant(
        "activations/_quadrature.py", "scale *= math.sqrt(k) / s", "scale *= k / s", MOMENTS, "normalisation of h_k"
    ),
    Mutant(
        "activations/_quadrature.py",
        "factor *= 0.5 * (q[j] - q0)",
        "factor *= q[j] - q0",
        "test_moments.py::test_moments_at_small_norms[tanh-2e-08]",
        "½ of ∂c/∂q dropped",
    ),
    Mutant(
        "activations/_quadrature.py",
        "act.grid[i, JUMP] * density(g) / s",
        "0.0",
        "test_tables.py::test_a_function_with_kinks[hat]",
        "jump of the slope dropped from c_2",
    ),
    Mutant(
        "activations/_pairs_gelu.py",
        "+ 2.0 * F20) / t1",
        "+ F20) / t1",
        ANY_SIZE + "[4.0-5.0-gelu]",
        "Leibniz factor 2",
    ),
    Mutant(
        "activations/_pairs_series.py",
        "k1[j] += 0.5 * by_q\n    kb[j] += by_b",
        "k1[j] += by_q\n    kb[j] += by_b",
        ANY_SIZE + "[1.0-0.5-tanh]",
        "½ of ∂K/∂q1 dropped",
    ),
    Mutant(
        "activations/_pairs_series.py",
        "return bound > TOLERANCE",
        "return bound > 1e-3",
        ANY_SIZE + "[16.0-9.0-tanh]",
        "series cut too early",
    ),
    Mutant(
        "activations/_pairs_table.py",
        "0.5 * (cross / s - by_12)",
        "0.5 * cross / s",
        ANY_SIZE + "[16.0-9.0-tanh]",
        "integration by parts on the diagonal",
    ),
    Mutant(
        "activations/_pairs.py",
        "(b[l] - q12 * x / s1) * bell / s1",
        "(b[l] + q12 * x / s1) * bell / s1",
        "test_pairs.py::test_value_and_partials_are_consistent[leaky_relu:0.3]",
        "sign of c_3",
    ),
    Mutant(
        "activations/_smoothed.py",
        "(2.0 + q - x * x)",
        "(2.0 - x * x)",
        "test_moments.py::test_smoothed_values_and_their_partials[gelu]",
        "c_2 of GELU without its variance",
    ),
    Mutant(
        "activations/_table.py",
        "return value, scale * slope",
        "return value, slope",
        "test_activations.py::test_values_and_slopes_of_sgd[tanh]",
        "slope of the table in its own variable",
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
        "slope = series.coefficients[term] * series.powers[i]",
        "slope = series.coefficients[term]",
        GRADIENT,
        "factor p of m^p differentiated",
    ),
    # ---- the flow
    Mutant("flows/_overlap.py", "0.5 * e.ka[j] - e.C[j]", "e.ka[j] - e.C[j]", GRADIENT, "½ of ½ aᵀKa"),
    Mutant("flows/_overlap.py", "row[k] *= -a * w[k]", "row[k] *= a * w[k]", GRADIENT, "sign: neurons repel"),
    Mutant("flows/_overlap.py", "row[j] += 2.0 * a * (", "row[j] += a * (", GRADIENT, "factor 2 on the diagonal of B"),
    Mutant("flows/_overlap.py", "(e.by_q[j] - e.k1[j])", "(e.by_q[j])", GRADIENT, "self-interaction dropped"),
    Mutant("flows/_overlap.py", "kappa_b * a * (", "kappa_b * (", GRADIENT, "a_j dropped from b'"),
    Mutant(
        "flows/_overlap.py",
        "kappa_a * (e.C",
        "(e.C",
        "test_overlap.py::test_frozen_layers_stay_and_label_noise_raises_the_floor",
        "η_a ignored",
    ),
    Mutant(
        "flows/_overlap.py", "s.S[j, k] + s.S[k, j]", "s.S[j, k] + s.S[j, k]", GRADIENT, "R' = BR + RB made lopsided"
    ),
    Mutant(
        "flows/_overlap.py",
        "eta_d * s.gamma[j, k]",
        "0.5 * eta_d * s.gamma[j, k]",
        "test_kernels_extra.py::test_finite_step_drift_is_eta_d_times_the_quadrature",
        "factor ½ on the drift of R",
    ),
    Mutant("flows/_overlap.py", "out[i, j] = s.gamma[j, j]", "out[i, j] = s.gamma[0, j]", RATES, "wrong index"),
    Mutant("flows/_overlap.py", "2.0 * decay * R[j, k]", "decay * R[j, k]", MEAN_FIELD, "decay of R as that of m"),
    Mutant("flows/_overlap.py", "s.Bm[j, r] - decay * m", "s.Bm[j, r] - m", MEAN_FIELD, "λ_w of m dropped"),
    Mutant("flows/_overlap.py", "- decay_a * a)", "- decay * a)", MEAN_FIELD, "λ_w for λ_a"),
    Mutant(
        "flows/_overlap.py", "0.0 if alone else y[a + j]", "y[a + j]", CORRELATION, "f left in the correlation loss"
    ),
    Mutant(
        "flows/_overlap.py",
        "problem.biased, NO, YES,",
        "problem.biased, YES, YES,",
        SADDLE,
        "risk without the student",
    ),
    # ---- by points
    Mutant("flows/_overlap_points.py", "e.k1[j] += p * of_1[j]", "e.k1[j] += of_1[j]", FORMS, "weight of the points"),
    Mutant("flows/_overlap_points.py", "0.5 * p * h * c[2, j]", "p * h * c[2, j]", FORMS, "½ of ∂C/∂q"),
    Mutant("flows/_overlap_points.py", "c[1, j] - of_b[j])", "c[1, j])", FORMS, "f dropped from m'"),
    Mutant(
        "flows/_overlap_points.py",
        "max(R[j, j], FLOOR * size, TINY)",
        "R[j, j]",
        "test_overlap_boolean.py::test_neurons_without_residual_have_a_risk_and_a_flow[relu]",
        "no floor under a variance",
    ),
    # ---- the map of discrete steps
    Mutant("flows/_overlap.py", "whole - problem.share * bare", "whole", STEP, "1 − 1/B of the batch term dropped"),
    Mutant("flows/_overlap.py", "whole -= problem.decay_w * (", "whole -= (", STEP, "λ_w of the quadratic part"),
    Mutant("flows/_overlap.py", "problem.xi_w**2 * (whole", "problem.xi_w * (whole", STEP, "η for η²"),
    Mutant(
        "flows/overlap_problem.py",
        "rates.w**2 * dim * share / unit",
        "rates.w * dim * share / unit",
        SCIPY,
        "η for η² of Γ",
    ),
    Mutant(
        "flows/overlap_problem.py", "kappa_a=rates.a / unit", "kappa_a=rates.a", MEAN_FIELD, "κ_a without its clock"
    ),
    Mutant("flows/overlap_problem.py", ", -teacher.second_layer", ", teacher.second_layer", SADDLE, "teacher's sign"),
    Mutant(
        "flows/overlap.py",
        "a / job.network.unit",
        "a",
        "test_overlap_rules.py::test_scalings_are_the_same_run_in_other_units",
        "a stored in the plain scaling",
    ),
    Mutant(
        "integrate/march.py",
        "iterate(problems[phase], y",
        "iterate(problems[0], y",
        "test_overlap_rules.py::test_a_schedule_is_run_phase_by_phase",
        "rates of the first phase for ever",
    ),
    # ---- the finite-step term in closed form
    Mutant("flows/_noise_erf.py", "error = noise + mean_square", "error = mean_square", CLOSED, "label noise ignored"),
    Mutant(
        "flows/_noise_erf.py",
        "error -= 2.0 * mean_product(",
        "error -= mean_product(",
        CLOSED,
        "factor 2 of the square",
    ),
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
    Mutant(
        "flows/_noise_points.py",
        "front[j] * front[k] / n",
        "front[j] * front[j] / n",
        POINTS + "[False]",
        "wrong index",
    ),
    Mutant(
        "flows/_noise_points.py",
        "WIDTH * math.sqrt(2.0)",
        "WIDTH",
        "test_kernels_extra.py::test_smoothed_step_is_the_normal_distribution",
        "√2 of erfc dropped",
    ),
    Mutant(
        "flows/_noise_points.py",
        "square[i] = leak * leak + (1.0 - leak * leak) * step",
        "square[i] = slope[i] * slope[i]",
        "test_kernels_extra.py::test_square_of_the_step_is_the_step",
        "a step squared twice",
    ),
    # ---- the flow's interface
    Mutant("flows/overlap_problem.py", "float(np.sqrt(float(math.prod(", "float((float(math.prod(", CLOSED, "√S!"),
    Mutant(
        "flows/overlap_problem.py",
        "target.energy + target.constant**2",
        "target.energy",
        "test_overlap.py::test_risk_is_the_monte_carlo_mean_within_its_standard_error[0.0-erf]",
        "constant ignored",
    ),
    Mutant("flows/overlap_problem.py", "rates.w**2 * dim * share", "rates.w**2 * share", SCIPY, "d dropped"),
    Mutant(
        "flows/overlap_problem.py",
        "kappa_b=rates.b / unit",
        "kappa_b=rates.b",
        "test_overlap.py::test_trained_biases_move_and_lower_the_risk",
        "η_b not in units of η",
    ),
    Mutant(
        "flows/overlap.py",
        "rates.w**2 * job.network.dim / (",
        "rates.w**2 / (",
        "test_kernels_extra.py::test_stored_noise_rate_is_eta_d_times_the_quadrature",
        "d dropped from the noise rate",
    ),
    Mutant(
        "flows/overlap.py",
        'biased=network.has_biases or training.trains("b")',
        "biased=network.has_biases",
        "test_kernels_extra.py::test_biases_that_start_at_zero_are_trained",
        "trained biases ignored",
    ),
    # ---- the correlation flow and its layerwise rule
    Mutant(
        "flows/_correlation.py",
        "slope * m[r] > 0.0",
        "slope * m[r] < 0.0",
        RULE + "a_held_coordinate_only_moves_inward",
        "held while it is pulled inward",
    ),
    Mutant(
        "flows/_correlation.py",
        "mode[r] == HELD and",
        "mode[r] != KEPT and",
        RULE + "a_held_coordinate_only_moves_inward",
        "released coordinate held back",
    ),
    Mutant(
        "flows/_correlation.py",
        "if mode[r] == KEPT:\n                q +=",
        "if mode[r] >= KEPT:\n                q +=",
        RULE + "velocity_is_the_lemmas",
        "projection over all coordinates",
    ),
    Mutant(
        "flows/_correlation.py",
        "if problem.sphere and mode[r] == KEPT:",
        "if problem.sphere:",
        RULE + "velocity_is_the_lemmas",
        "released coordinates stay on the sphere",
    ),
    Mutant(
        "flows/_correlation.py",
        "if r >= P:\n            variance +=",
        "if r > P:\n            variance +=",
        RULE + "whole_trajectories_and_release_times[relu-boolean]",
        "followed coordinate missing in the variance",
    ),
    Mutant(
        "flows/_correlation.py",
        "start + share * h <= t_out[-1]",
        "share * h <= t_out[-1]",
        RULE + "a_schedule_goes_on_where_it_stopped",
        "released after the end of a phase",
    ),
    Mutant(
        "flows/_correlation.py",
        "control[TIME] = start + share * h\n",
        "control[TIME] = start + h\n",
        RULE + "release_time_and_growth_have_closed_forms",
        "event at the end of its step",
    ),
    Mutant(
        "flows/_correlation.py", "+ 0.5 * gain) * m[r]", "+ gain) * m[r]", FINITE + "[True-erf-gaussian]", "½ of ½gm"
    ),
    Mutant(
        "flows/_correlation.py",
        "(1.0 - problem.sphere * R)",
        "(1.0 + problem.sphere * R)",
        FINITE + "[True-erf-gaussian]",
        "noise swells the sphere",
    ),
    Mutant(
        "flows/_correlation.py",
        "curvature = 2.0 * u.sums[2, 0]",
        "curvature = u.sums[2, 0]",
        "test_correlation.py::test_a_teacher_is_learned_as_the_function_it_is[False-erf]",
        "2 of e = 2 ∂C/∂q",
    ),
    Mutant(
        "flows/_two_radii.py",
        "1.0 / math.sqrt(rest)",
        "1.0 / rest",
        RULE + "a_release_can_push_another_over_the_edge",
        "exponent of the rescaling",
    ),
    Mutant(
        "flows/_two_radii.py",
        "y[last] *= scale * scale",
        "y[last] *= scale",
        RULE + "a_release_can_push_another_over_the_edge",
        "residual's length for its square",
    ),
    Mutant(
        "flows/_two_radii.py",
        "        if count == 0:\n            break\n",
        "        if count == 0 or radii.times[0] == t:\n            break\n",
        RULE + "a_release_can_push_another_over_the_edge",
        "no rescaling, no cascade",
    ),
    Mutant(
        "flows/_two_radii.py",
        "top = max(top, abs(y[i]) - radii.delta)",
        "top = max(top, y[i] - radii.delta)",
        RULE + "all_of_a_symmetric_monomial_are_released_at_once[z1*z2*z3]",
        "clipped on one side only",
    ),
    Mutant(
        "flows/_noise_alone.py",
        "(k - first) * before / s",
        "k * before / s",
        ALONE + "[gaussian-relu]",
        "Hermite recursion of the step's moments",
    ),
    Mutant(
        "flows/_noise_alone.py",
        "math.sqrt(0.5 + q[j])",
        "math.sqrt(1.0 + q[j])",
        ALONE + "[gaussian-erf]",
        "variance of σ'²",
    ),
    Mutant(
        "flows/noise_alone.py",
        "(job.training.batch * row.clock)",
        "row.clock",
        "test_correlation_steps.py::test_noise_rate_and_finite_steps_follow_step_size_batch_and_scaling",
        "batch ignored",
    ),
    Mutant(
        "flows/correlation.py",
        "float(network.plain_a[j])",
        "float(network.a[j])",
        "test_correlation_steps.py::test_noise_rate_and_finite_steps_follow_step_size_batch_and_scaling",
        "scaling ignored",
    ),
    Mutant(
        "flows/residuals.py",
        "gram - union @ union.T",
        "gram",
        RULE + "residual_gram_matrix_with_followed_coordinates_is_that_of_the_weights",
        "followed coordinates counted twice",
    ),
    # ---- neurons in lanes
    Mutant(
        "integrate/_lane_steps.py",
        "choose(good, step, filled(0.0))",
        "step",
        LANED + "steps_are_taken_refused_and_followed_by_others_as_for_one_system",
        "time passes in a rejected step",
    ),
    Mutant(
        "integrate/_lanes.py",
        "lanes.tried[lane], output = 0.0, LOG_LEAST, 0, 0",
        "lanes.tried[lane], output = 0.0, lanes.last[lane], 0, 0",
        LANED + "no_bit_depends_on_neighbours_or_the_lane[erf]",
        "a new member takes over the controller of the one before",
    ),
    Mutant(
        "integrate/_lane_steps.py",
        "(dense[2, j, lane] + x * dense[3, j, lane])",
        "dense[2, j, lane]",
        LANED + "trajectories_are_those_of_neurons_one_by_one[erf-free-plain]",
        "dense output of lower order",
    ),
    Mutant(
        "integrate/_lanes.py",
        "if not lanes.largest[lane] < rules.bound:",
        "if lanes.largest[lane] < 0.0:",
        LANED + "every_neuron_has_its_own_status_and_the_others_do_not_notice",
        "a neuron without bound goes on",
    ),
    Mutant(
        "activations/_moments_lanes.py",
        "(k - 2.0)",
        "(k - 1.0)",
        LANED + "moments_of_packs_are_the_moments",
        "Hermite recursion: wrong degree",
    ),
    Mutant(
        "flows/_correlation_lanes.py",
        "-radial / q",
        "-radial",
        LANED + "the_right_hand_side_is_that_of_one_neuron[sphere-0.0-0.0-erf]",
        "sphere of length 1 taken for granted",
    ),
    Mutant(
        "flows/lanes.py",
        "xi * network.plain_a",
        "xi * network.a",
        LANED + "trajectories_are_those_of_neurons_one_by_one[relu-sphere-mean_field]",
        "scaling ignored",
    ),
    Mutant(
        "integrate/_lane_steps.py",
        "3.0 * way - 2.0 * first - final + fourth",
        "3.0 * way - 2.0 * first - final - fourth",
        LANED + "trajectories_are_those_of_neurons_one_by_one[erf-free-plain]",
        "the step's quartic misses its end",
    ),
    Mutant(
        "_packs.py",
        "ROOT_HALF = 0x3FE6A09E667F3BCD",
        "ROOT_HALF = 0x3FE0000000000000",
        LANED + "functions_of_packs_are_those_of_the_library",
        "fraction in [½, 1): the series of the logarithm converges too slowly there",
    ),
    Mutant(
        "flows/lanes.py",
        "out[i, :, self.job.time > self.members.reached[i]] = np.nan",
        "pass",
        LANED + "every_neuron_has_its_own_status_and_the_others_do_not_notice",
        "what lies beyond the end is shown",
    ),
    # ---- the search phase
    Mutant("_searching.py", "root = math.sqrt(h)", "root = h", EXIT + "[0.3-5.0]", "noise without its square root"),
    Mutant(
        "_searching.py",
        "out[r] = -decay * u[r]",
        "out[r] = decay * u[r]",
        EXIT + "[1.0-3.0]",
        "sign of the noise's drift",
    ),
    Mutant(
        "_searching.py",
        "math.exp(-2.0 * gap / variance) if variance > 0.0 else 0.0",
        "0.0",
        "test_search_phase.py::test_two_members_diffuse_by_their_covariance",
        "passages within a step missed",
    ),
    Mutant("searching.py", "0.5 * kappa * law.gamma", "kappa * law.gamma", EXIT + "[1.0-3.0]", "½ of ½κΓ"),
    Mutant("searching.py", "_factor(kappa * law.spread)", "_factor(law.spread)", EXIT + "[0.3-5.0]", "κ dropped"),
    Mutant(
        "searching.py",
        "_inner(p, q) for q in shifted",
        "float(p is q) * _inner(whole, whole) for q in shifted",
        "test_search_phase.py::test_matched_polynomials_have_the_known_diffusion[3]",
        "diffusion without z²",
    ),
    Mutant(
        "searching.py",
        "2 * a * mixed * third",
        "a * mixed * third",
        "test_search_phase.py::test_coefficients_are_averages_over_z_and_an_independent_argument[relu-square-gaussian]",
        "factor 2 of the square",
    ),
    Mutant(
        "searching.py",
        "return self.times * dim ** (self.degree / 2 - 1) / size",
        "return self.times * dim ** (self.degree / 2) / size",
        "test_search_phase.py::test_a_run_depends_on_its_own_key_alone_and_steps_undo_the_scaling",
        "exponent of d",
    ),
    # ---- the integrator
    Mutant("integrate/_loop.py", "t + tableau.c[e] * h", "t + h", ORDER, "time of the stages"),
    Mutant(
        "integrate/_steps.py", "tableau.error.size - 1)", "tableau.error.size - 2)", ORDER, "stage handed on off by one"
    ),
    Mutant(
        "integrate/_explicit.py",
        "weight, power = 0.0, 1.0",
        "weight, power = 0.0, theta",
        ORDER,
        "dense output: power off by one",
    ),
    Mutant(
        "integrate/_loop.py",
        "task = opening(method, y, control, counts, t_out, out, events)",
        "control[1] = 0.0; task = opening(method, y, control, counts, t_out, out, events)",
        "test_integrate.py::test_result_does_not_depend_on_chunks",
        "step size forgotten between calls",
    ),
    Mutant(
        "integrate/_loop.py",
        "if not error <= 1.0:",
        "if error > 1.0:",
        "test_integrate.py::test_not_a_number_in_the_right_hand_side_ends_the_run_before_it",
        "NaN comparison flipped",
    ),
    Mutant(
        "integrate/_steps.py",
        "RUNNING if largest(y) < control[BOUND] else DIVERGED",
        "RUNNING if largest(y) > 0.0 else DIVERGED",
        "test_kernels_extra.py::test_growth_beyond_the_bound_is_divergence",
        "overflow check removed",
    ),
    Mutant(
        "integrate/_explicit.py",
        "weights.size, h, error)",
        "weights.size, 1.0, error)",
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
    Mutant("integrate/drive.py", "control[_explicit.TIME] = start", "control[_explicit.TIME] = 0.0", PHASES, "clock"),
    Mutant(
        "integrate/drive.py",
        "if grid.size == 0 or grid[-1] < end:",
        "if grid.size == 0:",
        PHASES,
        "phase cut at its last output",
    ),
    Mutant("integrate/drive.py", "y[:] = states[-1]", "y[:] = states[0]", PHASES, "next phase from an old state"),
    Mutant(
        "integrate/drive.py",
        "min(float(control[_explicit.TIME]), float(times[-1]))",
        "float(control[_explicit.TIME])",
        "test_integrate.py::test_progress_never_goes_back_and_ends_at_one",
        "progress beyond the phase",
    ),
    # ---- mean-field flow
    Mutant(
        "flows/_mean_field.py",
        "if problem.held:",
        "if problem.held > 1:",
        "test_mean_field_staircases.py::test_a_stuck_target_stays_above_its_floor_until_rounding_frees_it",
        "projector dropped",
    ),
    Mutant("flows/_mean_field.py", "problem.weights[j] * a[j]", "a[j] / a.size", SLOPES, "weight of a particle"),
    Mutant("flows/_mean_field.py", "- problem.decay_w * s[j]", "- 0.0 * s[j]", SLOPES, "s does not decay"),
    Mutant("flows/_mean_field.py", "(a[j] * ds[j] -", "(ds[j] -", SLOPES, "a_j dropped from s'"),
    Mutant("flows/_mean_field.py", "problem.xi_a * (da[j]", "problem.xi_w * (da[j]", SLOPES, "rates swapped"),
    Mutant("flows/_mean_field.py", "0.0 if alone else problem", "problem", APART, "neurons meet in the residual h"),
    Mutant(
        "flows/_mean_field.py", "first, last, 0)", "first, last, problem.alone)", APART, "risk without f under its loss"
    ),
    Mutant(
        "flows/_mean_field.py",
        "y[i] += clock * dy[i]",
        "y[i] += dy[i]",
        "test_mean_field_rules.py::test_single_steps_are_the_euler_map_and_tend_to_the_flow",
        "step size of the discrete dynamics",
    ),
    Mutant(
        "flows/mean_field_problem.py",
        "N * row.a / row.clock",
        "row.a / row.clock",
        "test_mean_field.py::test_flow_agrees_with_scipy",
        "width in the speed of a",
    ),
    Mutant(
        "flows/mean_field.py",
        "[row.clock for row in",
        "[job.training.eta for row in",
        "test_mean_field_rules.py::test_a_schedule_is_one_run_after_another",
        "rate of a phase ignored in single steps",
    ),
    Mutant(
        "trajectory.py",
        "name: times[index] for",
        "name: times for",
        "test_trajectory.py::test_one_run_of_an_ensemble",
        "events of all runs in one",
    ),
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
        "forget(events, min(t + end * h, last))",
        "forget(events, last)",
        "test_events.py::test_a_terminal_event_ends_the_run_there_and_later_ones_are_not_seen",
        "events after the end of the run kept",
    ),
    Mutant(
        "integrate/_steps.py",
        "kind, switch = EXPLICIT, True",
        "kind, switch = STABILISED, False",
        "test_stiff.py::test_auto_goes_over_to_the_stiff_method_and_back[3]",
        "never back from the stiff method",
    ),
    Mutant(
        "integrate/_steps.py",
        "if WORSE * h < control[PACE] * price else 0",
        "if h < 0.0 else 0",
        "test_stiff.py::test_auto_gives_the_rosenbrock_method_up_where_it_does_not_pay",
        "never back from a Rosenbrock method that does not pay",
    ),
    Mutant(
        "integrate/_loop.py",
        "theta = part / SAMPLES if halvings < 0",
        "theta = part if halvings < 0",
        "test_events.py::test_a_crossing_and_its_return_within_one_step_are_found_at_the_quarters",
        "events looked for outside the step",
    ),
    Mutant(
        "flows/_overlap.py",
        "dy[i] = eta_d * s.gamma[i - gauges, i - gauges]",
        "dy[i] = s.gamma[i - gauges, i - gauges]",
        "test_flow_events.py::test_the_noise_gauge_is_the_integral_of_the_noise_rate",
        "gauge without the step size",
    ),
    Mutant(
        "flows/_correlation.py",
        "for i in range(tableau.error.size, tableau.c.size):",
        "for i in range(tableau.c.size, tableau.c.size):",
        "test_flow_events.py::test_the_layerwise_rule_finds_its_releases_by_every_method[dop853]",
        "releases on a dense output that is not there",
    ),
    Mutant(
        "flows/_correlation.py",
        "dy[i] = gain",
        "dy[i] = gain * y[last]",
        "test_flow_events.py::test_the_noise_gauge_of_neurons_alone_is_the_integral_of_their_noise_rate[free]",
        "gauge of something else",
    ),
    Mutant(
        "flows/_correlation.py",
        "    forget(events, t)\n",
        "",
        "test_flow_events.py::test_levels_passed_by_a_jump_at_a_release_are_met_there",
        "an event in a step that was cut before it",
    ),
    Mutant(
        "flows/_correlation.py",
        "events.before[e] = y[events.entry[e]] - events.level[e]",
        "events.before[e] = np.nan",
        "test_flow_events.py::test_levels_passed_by_a_jump_at_a_release_are_met_there",
        "a level passed by the jump of a release",
    ),
    Mutant(
        "flows/alone_events.py",
        "np.nextafter(when, np.inf)",
        "when.copy()",
        "test_flow_events.py::test_levels_passed_by_a_jump_at_a_release_are_met_there",
        "the state before the jump",
    ),
    Mutant(
        "flows/alone_events.py",
        "risk = risk_at(times)\n",
        "risk = np.sort(risk_at(times))\n",
        "test_flow_events.py::test_events_of_neurons_alone_have_their_closed_form",
        "risks of other times",
    ),
    Mutant(
        "flows/alone_lanes.py",
        "if run.job.network.has_biases), out.job)",
        "if not run.job.network.has_biases), out.job)",
        "test_ensemble.py::test_neurons_of_all_members_share_lanes",
        "biases left out that the first network does not have",
    ),
    Mutant(
        "ensemble.py",
        "int(one.status) for one in runs",
        "int(first.status) for one in runs",
        "test_ensemble.py::test_a_member_that_fails_keeps_its_status_and_the_others_go_on[overlap]",
        "one status for all",
    ),
    Mutant(
        "integrate/events.py",
        "one.neuron * coordinates + one.coordinate",
        "one.coordinate",
        "test_flow_events.py::test_times_and_states_are_those_of_runs_that_end_there[overlap]",
        "overlap of another neuron",
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
        "integrate/methods.py",
        "+ ending.sum(axis=2)",
        "+ 0.0 * ending.sum(axis=2)",
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
        "difference(y) / size if",
        "difference(y) if",
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
    # ---- mini-batches
    Mutant("sgd/_products.py", "q2 += g * x2[i]", "q2 += g * x3[i]", BATCHED, "a sample's product taken twice"),
    Mutant("sgd/_products.py", "l3[j + 1] += q3", "l3[j + 1] = q3", PRODUCTS, "blocks of columns not summed"),
    Mutant("sgd/_products.py", "C[t, j + k]", "C[0, j + k]", BATCHED, "factors of the first sample for all"),
    Mutant("sgd/_products.py", "fill_line(W, k[5])", "fill_line(W, k[4])", BATCHED, "a neighbour's factor"),
    Mutant(
        "sgd/_products.py",
        "min(first + BLOCK_ROWS, W.shape[0])",
        "min(first + BLOCK_ROWS, W.shape[0] - 2)",
        PRODUCTS,
        "the last two rows left out",
    ),
    Mutant("sgd/_batch.py", "held[0] == end and ", "held[0] == end or ", BATCHED, "old samples at the wrong rows"),
    Mutant(
        "sgd/_batch.py", "= x[held[1] + r], batch.y[held[1] + r]", "= x[held[1] + r], batch.y[r]", BATCHED, "old label"
    ),
    Mutant("sgd/_batch.py", "row = (first + begin) % GROUP", "row = 0", BATCHED, "batches moved to whole groups"),
    Mutant("sgd/_batch.py", "scale[j] * c[j] + b[j]", "c[j] + b[j]", BATCHED, "decay left out of the forward pass"),
    Mutant("sgd/_batch.py", "db[j] += z[j]", "db[j] = z[j]", BATCHED, "biases moved by the last sample alone"),
    Mutant("sgd/_batch.py", "step * size", "step", BATCHED, "samples seen again in the next step"),
    Mutant(
        "sgd/_batch.py",
        "into_scale[j] *= keep",
        "into_scale[j] *= 1.0",
        BATCHED,
        "no decay where W takes updates at once",
    ),
    Mutant(
        "sgd/_batch.py", "if sphere else keep", "if sphere else 1.0", SLICED, "no decay where updates are summed apart"
    ),
    Mutant("sgd/_batch.py", "T(1.0 / scale[j])", "T(1.0)", SLICED, "summed updates not divided by the scale of W"),
    Mutant(
        "sgd/_batch.py",
        "scale[j] *= 1.0 - along",
        "scale[j] *= 1.0 + along",
        ANY_BATCH,
        "the tangent's projection away",
    ),
    Mutant(
        "sgd/_batch.py", "square - radial * radial", "square", ANY_BATCH, "normalised by what is off the tangent too"
    ),
    Mutant(
        "sgd/_batch.py",
        "            total += room",
        "            total = room",
        ANY_BATCH,
        "norm of the last neuron alone",
    ),
    Mutant(
        "sgd/limits.py",
        " or training.normalised",
        "",
        ANY_BATCH,
        "W takes the batch before its length is known",
    ),
    Mutant(
        "sgd/_batch.py", "if sphere else 0.0))", "if False else 0.0))", ANY_BATCH, "inner step off the sphere's tangent"
    ),
    Mutant(
        "sgd/_batch.py",
        "at, at_scale = into, ones",
        "at, at_scale = into, scale",
        ANY_BATCH,
        "scale of W counted twice",
    ),
    Mutant("sgd/_batch.py", "rates[INNER] / size", "rates[INNER]", ANY_BATCH, "inner step along the sum, not the mean"),
    Mutant(
        "sgd/_batch.py", "rates[OF_A] / size", "rates[OF_A]", BATCHED, "second layer moved by the sum, not the mean"
    ),
    Mutant("sgd/_batch.py", "rule.stops[phase] <= step", "rule.stops[phase] < step", BATCHED, "phase one step late"),
    Mutant("sgd/_batch.py", "range(2 if rule.twice else 1)", "range(1)", ANY_BATCH, "samples not looked at twice"),
    Mutant("sgd/_batch.py", "into[:] = 0.0", "into[:1] = 0.0", SLICED, "the last step's updates taken again"),
    Mutant(
        "sgd/_batch.py",
        "for j in range(width):\n        a[j]",
        "for j in range(a.size):\n        a[j]",
        "test_sgd_batch_runs.py::test_padding_stays_zero[plain]",
        "neurons of the padding trained",
    ),
    Mutant(
        "sgd/_batch.py",
        "size += abs(f)",
        "size += 0.0",
        "test_sgd_batch_runs.py::test_a_poisoned_weight_is_found_at_once[a-nan-plain-float64]",
        "NaN in the second layer unseen",
    ),
    Mutant(
        "sgd/limits.py", "training.batch > SLICE or", "training.batch > 4 * SLICE or", SLICED, "W moved inside a batch"
    ),
    Mutant(
        "sgd/limits.py",
        "padded(-(-batch // slices), SAMPLES)",
        "padded(batch // slices, SAMPLES)",
        "test_sgd_batch.py::test_slices_cover_the_batch_evenly",
        "one slice more, of a few samples",
    ),
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
    Mutant(
        "sgd/_steps.py",
        "for q in range(t):\n        g, c",
        "for q in range(t - 1):\n        g, c",
        TWIN,
        "fused update off by one step",
    ),
    Mutant("sgd/_steps.py", "z[j] = lam[j] + b[j]", "z[j] = lam[j]", TWIN, "bias ignored"),
    Mutant(
        "sgd/_steps.py", "slope = a[j] * ds[j]", "slope = (a[j] + second * s[j]) * ds[j]", TWIN, "W updated after a"
    ),
    Mutant(
        "sgd/_steps.py", "b[j] += third * slope", "b[j] += third * ds[j]", LITERAL, "a_j dropped from the bias step"
    ),
    Mutant(
        "sgd/_labels.py",
        "math.sqrt(source.noise) * xi",
        "source.noise * xi",
        LITERAL,
        "variance for standard deviation",
    ),
    Mutant(
        "sgd/_labels.py",
        "draw_group(seed, LABELS,",
        "draw_group(seed, np.uint32(0),",
        LITERAL,
        "noise tied to the inputs",
    ),
    Mutant(
        "sgd/_sweep.py",
        "multiply_add(x2, x1, g21)",
        "multiply_add(x2, x0, g21)",
        TWIN,
        "wrong index in the Gram matrix",
    ),
    Mutant(
        "sgd/_sweep.py",
        "e0, e1, e2, e3, x0, x1, x2, x3",
        "e0, e1, e2, e3, x0, x1, x3, x2",
        TWIN,
        "samples swapped in odd rows",
    ),
    Mutant(
        "sgd/_sweep.py",
        "2 * GROUP * i + first + t",
        "2 * GROUP * i + first + 3 - t",
        TWIN,
        "samples laid in the wrong order",
    ),
    Mutant(
        "sgd/_sweep.py",
        "% BYTES",
        "% 16",
        "test_sgd_sweep.py::test_samples_begin_with_a_line_and_lie_side_by_side",
        "lines off the cache's",
    ),
    Mutant(
        "_lines.py",
        "builder.fpext(value, kind.vector)",
        "builder.fpext(builder.fneg(value), kind.vector)",
        "test_sgd_sweep.py::test_lines_are_the_numbers_of_the_array[float64]",
        "sign lost in conversion",
    ),
    Mutant(
        "sgd/_online.py",
        "sweep(W, x, old, new",
        "sweep(W, x, new, new",
        TWIN,
        "update with later samples",
    ),
    Mutant("sgd/_online.py", "(start + done) // GROUP", "done // GROUP", CALLS, "samples restart with every call"),
    Mutant(
        "sgd/_steps.py",
        "    clear(C)\n",
        "",
        "test_kernels_extra.py::test_a_group_that_ends_early_applies_its_own_steps_alone",
        "updates of the last group applied again",
    ),
    Mutant(
        "sgd/_labels.py",
        "(k - 1.0) * He[i, k - 2]",
        "k * He[i, k - 2]",
        "test_sgd_kernels.py::test_labels_are_the_target",
        "Hermite index",
    ),
    Mutant(
        "sgd/_steps.py",
        "if not size <= bound:",
        "if size > bound:",
        "test_sgd_divergence.py::test_a_poisoned_weight_is_found_at_once[W-nan-erf-float64]",
        "NaN comparison flipped",
    ),
    Mutant(
        "sgd/_steps.py",
        "return f, size + abs(f)",
        "return f, size",
        "test_kernels_extra.py::test_an_output_beyond_the_bound_ends_the_run_before_its_step",
        "output left out of the overflow check",
    ),
    Mutant(
        "sgd/_full.py",
        "np.float64(u[i]) * np.float64(v[i])",
        "np.float64(u[i] * v[i])",
        "test_sgd_kernels.py::test_overlaps_are_sums_in_double_precision[float32]",
        "product rounded to float32",
    ),
    Mutant(
        "sgd/_steps.py",
        "a[j] = 0.0  # padding",
        "a[j] *= 1.0",
        "test_sgd.py::test_padding_stays_zero[erf]",
        "padding left",
    ),
    Mutant(
        "sgd/_steps.py",
        "kept_a * a[j] + second * s[j]",
        "kept_a * (a[j] + second * s[j])",
        "test_sgd.py::test_a_step_decays_the_old_second_layer_and_uses_it",
        "second layer decays after its step",
    ),
    Mutant(
        "sgd/_steps.py",
        "            c[j] *= keep[j]\n",
        "            c[j] *= 1.0\n",
        EVERYTHING,
        "updates of the group do not decay with W",
    ),
    Mutant(
        "sgd/_steps.py",
        "            if rule.sphere or rates[t, KEEP_W] != 1.0:\n                shrink(keep, C[: t + 1], scale)\n"
        "            for j in range(lam.size):\n                total[j] += c[j]\n",
        "            for j in range(lam.size):\n                total[j] += c[j]\n"
        "            if rule.sphere or rates[t, KEEP_W] != 1.0:\n                shrink(keep, C[: t + 1], scale)\n",
        EVERYTHING,
        "a step's own update decays in the same step",
    ),
    Mutant(
        "sgd/_steps.py",
        "C[: t + 1], scale",
        "C[:t], scale",
        REUSED + "[free-twice-plain]",
        "the first of two steps does not decay",
    ),
    Mutant(
        "sgd/_steps.py",
        "way = square - lam[j] * lam[j] if sphere",
        "way = square if sphere",
        REUSED + "[sphere-sam-plain]",
        "inner step off the sphere",
    ),
    Mutant(
        "sgd/_steps.py",
        "c[j] * square - along * along",
        "c[j] * square",
        REUSED + "[sphere-plain]",
        "length of a step without its projection",
    ),
    Mutant(
        "sgd/_steps.py",
        "square - lam[j] * lam[j] if sphere else square\n        if room",
        "square\n        if room",
        REUSED + "[sphere-normalised-plain]",
        "normalised by what is off the tangent too",
    ),
    Mutant(
        "sgd/_steps.py",
        "rate / math.sqrt(total)",
        "rate / total",
        REUSED + "[free-normalised-plain]",
        "normalised by the square of the norm",
    ),
    Mutant(
        "sgd/_steps.py",
        "    if rule.normalised:\n        normalise(rates[OF_W], rule.sphere, square, lam, c)\n    if rule.sphere:",
        "    if rule.normalised and not rule.sphere:\n        normalise(rates[OF_W], rule.sphere, square, lam, c)\n"
        "    if rule.sphere:",
        REUSED + "[twice-normalised-plain]",
        "gradient as it is on the sphere",
    ),
    Mutant("sgd/_steps.py", "(1.0 - along) * inverse", "inverse", REUSED + "[sphere-plain]", "gradient not projected"),
    Mutant(
        "sgd/_steps.py",
        "lam[j] = keep[j] * lam[j] + square * c[j]",
        "lam[j] = lam[j] + square * c[j]",
        REUSED + "[free-twice-plain]",
        "second step forgets the decay of the first",
    ),
    Mutant(
        "sgd/_steps.py",
        "if look == 0 or rule.twice:",
        "if look == 0:",
        REUSED + "[free-twice-mean_field]",
        "second step with the preactivations of the first",
    ),
    Mutant("sgd/_steps.py", "2 if leans or rule.twice else 1", "2 if rule.twice else 1", LITERAL, "no second pass"),
    Mutant(
        "sgd/_online.py",
        "if rule.sphere and group % RENEWAL == 0:",
        "if rule.sphere and group < 0:",
        GROWTH,
        "lengths never corrected",
    ),
    Mutant(
        "sgd/_online.py",
        "group % RENEWAL == 0",
        "done == 0",
        CALLS.replace("plain", "sphere"),
        "corrections counted from the start of a call",
    ),
    Mutant("sgd/_full.py", "1.0 / math.sqrt(total)", "1.0 / total", GROWTH, "square of the length"),
    Mutant("sgd/handed.py", "row.inner)", "abs(row.inner))", REUSED + "[free-sam-plain]", "SAM goes down"),
    Mutant(
        "sgd/_full.py", "rule.stops[phase] <= first", "rule.stops[phase] < first", EVERYTHING, "phase one step late"
    ),
    Mutant("sgd/_steps.py", "lam[j] *= scale[j]", "lam[j] *= 1.0", EVERYTHING, "decay left out of the forward pass"),
    Mutant("sgd/_full.py", "c[j] /= scale[j]", "c[j] /= 1.0", EVERYTHING, "updates not divided by the scale of W"),
    Mutant("sgd/_full.py", "w[i] *= factor", "w[i] *= 1.0", EVERYTHING, "scale of W forgotten where it is renewed"),
    Mutant(
        "sgd/_steps.py",
        "rule.feedback * f",
        "f",
        EVERYTHING + "[correlation-plain-boolean]",
        "f in the correlation loss",
    ),
    Mutant("sgd/handed.py", "1 - row.w * row.decay_w", "1 - row.decay_w", EVERYTHING, "decay without its step size"),
    Mutant("sgd/full.py", "np.outer(scale, scale)", "scale[:, None]", EVERYTHING, "scale of W once in Q"),
    Mutant(
        "sgd/full.py",
        "state.a[:N] / network.unit",
        "state.a[:N] * network.unit",
        EVERYTHING,
        "1/N the wrong way in what is recorded",
    ),
    Mutant("sgd/state.py", "network.plain_a, network.b", "network.a, network.b", EVERYTHING, "start without its 1/N"),
    Mutant(
        "sgd/mixed.py",
        "return risk_of(target, activation, m, Q, job.network.unit * a",
        "return risk_of(target, activation, m, Q, a",
        LITERAL,
        "risk of a in the wrong scaling",
    ),
    Mutant(
        "sgd/mixed.py",
        "variance = np.maximum(q[:, None] - along**2",
        "variance = np.maximum(q[:, None] + 0.0 * along**2",
        "test_sgd_risk.py::test_mixed_risk_is_the_risk_where_activations_agree",
        "variance of λ not reduced by what the teacher unit says",
    ),
    Mutant(
        "sgd/handed.py",
        "act_of(target.activation)",
        "act_of(job.network.activation)",
        "test_sgd_kernels.py::test_labels_of_a_teacher_come_from_its_own_activation",
        "teacher with the student's activation",
    ),
    Mutant(
        "sgd/_random.py",
        "U(word >> U(j))",
        "U(word >> U(31 - j))",
        "test_random.py::test_signs_are_the_bits_of_those_words",
        "signs from the highest bit on",
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
    # ---- what is known before a run
    Mutant(
        "escapes.py",
        "m + h / 6 * (k1 + 2 * k2 + 2 * k3 +",
        "m + h / 6 * (k1 + 2 * k2 + k3 +",
        "test_resolvability.py::test_growth_is_that_of_the_leading_order",
        "Runge and Kutta's weights",
    ),
    Mutant(
        "escapes.py",
        "np.minimum(np.minimum(STRIDE * SIZE, 2 * length), straight)",
        "np.minimum(STRIDE * SIZE, 2 * length)",
        "test_resolvability.py::test_signs_that_let_neurons_grow",
        "strides that carry overlaps through 0",
    ),
    Mutant(
        "escapes.py",
        "(field.value(m) > 0) | (step.leap == 1)",
        "field.value(m) > 0",
        "test_resolvability.py::test_signs_that_let_neurons_grow",
        "a leap of 1 that needs a sign",
    ),
    Mutant(
        "forecast.py",
        "row.w**2 * min(",
        "row.w * min(",
        "test_resolvability.py::test_the_noise_gauge_is_that_of_the_flow",
        "noise linear in the step size",
    ),
    Mutant(
        "forecast.py",
        "(network.plain_a**2 * slope)",
        "(network.a**2 * slope)",
        "test_resolvability.py::test_both_scalings_say_the_same",
        "second layer of the wrong scaling",
    ),
    Mutant(
        "resolve.py",
        "(1 - 1 / batch) * float(",
        "float(",
        "test_resolve.py::test_stable_step_of_one_linear_relu_neuron",
        "the batch's part counted at batch 1",
    ),
    # ---- checkpoints
    Mutant(
        "sgd/full.py",
        'state.scale[:], state.step = arrays["scale"], ',
        "state.step = ",
        RESUMED + "[everything]",
        "decay so far forgotten",
    ),
    Mutant(
        "sgd/full.py",
        'arrays["W"], arrays["a"], arrays["b"]',
        'arrays["W"], arrays["a"], state.b',
        RESUMED + "[everything]",
        "biases start again",
    ),
    Mutant("sgd/_sampled.py", "np.uint32(2)", "np.uint32(0)", LOSSES, "tested on what it was trained on"),
    Mutant("sgd/_sampled.py", "scale[j] * lam[j] + b[j]", "lam[j] + b[j]", LOSSES, "scale of W left out"),
    Mutant("sgd/_sampled.py", "h[t % GROUP]", "h[0]", LOSSES, "one label for four inputs"),
    Mutant(
        "sgd/_sampled.py",
        "for t in range(0, BLOCK, GROUP)",
        "for t in range(0, GROUP, GROUP)",
        LOSSES,
        "half a block undrawn",
    ),
    Mutant("sgd/_sampled.py", "0.5 * error * error", "error * error", LOSSES, "MSE for the risk"),
    Mutant(
        "sgd/_sampled.py",
        "total += np.float64(w[i]) * np.float64(w[i])",
        "total += w[i] * w[i]",
        "test_sgd_sampled.py::test_norms_are_sums_in_double_precision[float32]",
        "norms lose half their digits",
    ),
    Mutant("sgd/sampled.py", "_replace(noise=0.0)", "_replace(noise=1.0)", LOSSES, "label noise in the risk"),
    Mutant("sgd/sampled.py", "ddof=1)) / math.sqrt", "ddof=1)) * math.sqrt", LOSSES, "error grows with the inputs"),
    Mutant("schedules.py", "max(leap, 2) / 2", "max(leap, 1) / 2", POWERS, "leap 1 beyond the edge of stability"),
    Mutant("schedules.py", "/ (eta * rate))", "/ eta)", POWERS, "steps counted at the first step size"),
    Mutant("schedules.py", "later < sooner and sooner > 2", "later < sooner < 2", ORDER_OF_LEAPS, "descent let pass"),
    Mutant(
        "sgd/limits.py",
        "threads * ((copies + kept)",
        "threads * ((1 + kept)",
        FORECAST,
        "states looked ahead not counted",
    ),
    Mutant("memory.py", "range(len(parts) + 1)", "range(1)", CONTAINER, "only the outermost control group is asked"),
    Mutant("memory.py", "if limit), default=0", "), default=0", UNKNOWN, "0 bytes where nothing is known"),
    Mutant(
        "sgd/ensemble.py",
        "record.rows, rows)",
        "record.rows + 1, rows)",
        RESUMED + "[gaussian]",
        "a row left out on resuming",
    ),
    Mutant(
        "sgd/ensemble.py",
        "values[recorded:] = np.nan",
        "pass",
        RESUMED + "[diverging]",
        "rows after the end of other bits",
    ),
    Mutant(
        "sgd/ensemble.py",
        "Record(row, walk.arrays())",
        "Record(row + 1, walk.arrays())",
        "kill/test_kill.py::test_killed_at_random_moments_a_run_ends_with_the_same_bits[gaussian]",
        "a row counted before it is recorded",
    ),
    Mutant(
        "sgd/keeper.py",
        "cost / SHARE - took",
        "0.0",
        "test_checkpoints.py::test_dear_writing_is_done_less_often",
        "writing all the time",
    ),
    Mutant(
        "sgd/keeper.py",
        "timeout=PATIENCE",
        "timeout=None",
        "test_checkpoints.py::test_a_busy_run_does_not_keep_the_others_from_the_disk",
        "waits for a busy run",
    ),
    Mutant(
        "checkpoints.py",
        "(steps, seeds, rng.generate_state(8), ",
        "(steps, seeds, ",
        "test_checkpoints.py::test_fingerprints_tell_functions_and_geometries_apart_and_nothing_else",
        "another seed taken for the same",
    ),
    # ---- the layerwise algorithm and ridge
    Mutant(
        "sgd/_layerwise.py",
        "keep[j] = (1.0 - c[j] * rho[j]) * scale[j]",
        "keep[j] = scale[j]",
        WRITTEN,
        "the gradient not projected",
    ),
    Mutant(
        "sgd/_layerwise.py",
        "scale[j] = 1.0 / math.sqrt(squares) if",
        "scale[j] = 1.0 if",
        LAYERED,
        "the unreleased not rescaled",
    ),
    Mutant(
        "sgd/_layerwise.py",
        "w[i] = clipped(aside.w[k] + T(c) * x[i], T(delta))",
        "w[i] = aside.w[k] + T(c) * x[i]",
        LAYERED,
        "released weights not clipped",
    ),
    Mutant(
        "sgd/_layerwise.py",
        "rest += np.float64(w[i]) * np.float64(new[i])",
        "rest += 0.0",
        LAYERED,
        "released weights left out of the forward pass",
    ),
    Mutant(
        "sgd/_layerwise.py",
        "x[i] = aside.x[k]",
        "x[i] = T(0)",
        LAYERED,
        "the next neuron sees zeros in the sample",
    ),
    Mutant(
        "sgd/_layerwise.py",
        "keep, c = 1.0, 0.0  # once",
        "keep, c = 1.0, c  # once",
        WRITTEN,
        "a release moves its neuron twice",
    ),
    Mutant(
        "sgd/_layerwise.py",
        "released.when[j, i] = step",
        "released.when[j, i] = step - 1",
        WRITTEN,
        "released a step too early",
    ),
    Mutant(
        "sgd/_layerwise.py",
        "edge = r if done > 0 else np.nan",
        "edge = r",
        BEYOND,
        "released by the start, not by a step",
    ),
    Mutant(
        "sgd/_layerwise.py",
        "edge = r if done > 0 else np.nan",
        "edge = r if done > 0 else np.inf",
        "test_layerwise_runs.py::test_a_poisoned_weight_is_found_at_once[V-1-inf-erf-float64]",
        "an infinite weight released and clipped",
    ),
    Mutant(
        "sgd/_layerwise.py",
        "w[which[k]] = aside[k]",
        "w[which[k]] = aside[0]",
        LAYERED,
        "released weights mixed up in the output",
    ),
    Mutant(
        "sgd/_layerwise.py",
        "a[j] = kept * a[j] + push * s[j]",
        "a[j] = a[j] + push * s[j]",
        LAYERED,
        "no decay of the second layer",
    ),
    Mutant(
        "sgd/_layerwise.py",
        "if done == 0 or step % GROUP == 0:\n            draw(seed, step // GROUP,",
        "if step % GROUP == 0:\n            draw(seed, step // GROUP,",
        "test_layerwise_runs.py::test_the_length_of_kernel_calls_changes_no_bit[float64-gaussian]",
        "a call in the middle of a group sees no sample",
    ),
    Mutant(
        "sgd/_layerwise.py",
        "if not size <= bound:",
        "if size > bound:",
        "test_layerwise_runs.py::test_a_poisoned_weight_is_found_at_once[a-2-nan-erf-float64]",
        "NaN passes the bound",
    ),
    Mutant(
        "sgd/layerwise.py",
        "self.state.step < row.stop",
        "self.state.step <= row.stop",
        WRITTEN,
        "phases end a step late",
    ),
    Mutant(
        "sgd/layerwise.py",
        "(released.when >= 0).sum(axis=1)",
        "(released.when > 1).sum(axis=1)",
        WRITTEN,
        "a coordinate of the support counted as a stray",
    ),
    Mutant(
        "sgd/layerwise.py",
        'released.number[:], released.when[:] = arrays["number"], arrays["when"]',
        'released.when[:] = arrays["when"]',
        RESUMED + "[layerwise]",
        "what was released is kept again after resuming",
    ),
    Mutant(
        "sgd/layerwise.py",
        "job.training.time_at(np.maximum(release, 0.0))",
        "release",
        WRITTEN,
        "steps in place of flow time",
    ),
    Mutant(
        "sgd/layerwise.py",
        "elif row.a > 0 and state.step == row.start:",
        "elif row.a > 0:",
        "test_layerwise_runs.py::test_ridge_is_solved_once",
        "ridge solved in every call",
    ),
    Mutant(
        "sgd/_second_layer.py",
        "pair_sums(act, YES, two, second,",
        "pair_sums(act, YES, two, bias,",
        RIDGE + "moments_are_those_of_the_risk",
        "biases as the second layer",
    ),
    Mutant(
        "sgd/_second_layer.py",
        "u[j] += m[j, r] * z[i, r]",
        "u[j] += m[j, r]",
        RIDGE + "moments_are_those_of_the_risk",
        "one corner for all",
    ),
    Mutant(
        "sgd/_second_layer.py",
        "(floor if l == j else 0.0)",
        "floor",
        RIDGE + "equations_are_solved",
        "the penalty on all entries",
    ),
    Mutant(
        "sgd/_second_layer.py",
        "total -= A[k, j] * x[k]",
        "total -= A[j, k] * x[k]",
        RIDGE + "equations_are_solved",
        "the factor in place of its transpose",
    ),
    Mutant(
        "sgd/second_layer.py",
        "(sums.C - sums.ka)[:N]",
        "sums.C[:N]",
        RIDGE + "a_teacher_is_fitted_by_the_same_and_by_other_neurons",
        "a teacher's units without weight",
    ),
    Mutant(
        "sgd/second_layer.py",
        "max(decay, least)",
        "decay",
        RIDGE + "a_penalty_below_the_accuracy_of_the_moments_counts_as_that",
        "singular equations",
    ),
    Mutant(
        "ridge_fit.py",
        "number / net.unit)",
        "number)",
        RIDGE + "no_other_second_layer_is_better",
        "the plain penalty in mean-field scaling",
    ),
    Mutant(
        "network.py",
        "np.copysign(1.0, W, out=W)",
        "np.copysign(1.0, abs(W), out=W)",
        "test_layerwise_runs.py::test_a_first_layer_of_signs_changes_nothing_else_of_the_draw",
        "all signs positive",
    ),
    # ---- the exact chain
    Mutant(
        "sgd/_chain.py",
        "known, last, dim - known, count",
        "known, last, dim - known + 1, count",
        f"{CHAIN_LAW}[d = 12, normalised batches]",
        "one degree of freedom too many",
    ),
    Mutant(
        "sgd/_chain.py",
        "    if freedom > 0:\n",
        "    if freedom > 2**62:\n",
        f"{CHAIN_LAW}[d = 12]",
        "no length outside the weights",
    ),
    Mutant(
        "sgd/_chain.py",
        "min(known + GROUP - 1, dim)",
        "min(known + GROUP - 2, dim)",
        CHAIN,
        "last sample of a group a coordinate short",
    ),
    Mutant(
        "sgd/_chain.py",
        "first + s, min(rows + s, dim)",
        "first + s, min(rows, dim)",
        CHAIN,
        "samples of a batch in the same direction outside the weights",
    ),
    Mutant(
        "sgd/_chain.py",
        "load(V, (j + 1, q, 0)), e1 * x)",
        "load(V, (j + 1, q, 0)), e0 * x)",
        "test_chain_kernels.py::test_a_sweep_moves_all_rows_and_multiplies",
        "second neuron moved as the first",
    ),
    Mutant(
        "sgd/_chain.py",
        "store(n.keep, (j, 0), filled(1.0))",
        "store(n.keep, (j, 0), load(n.keep, (j, 0)))",
        CHAIN,
        "decay once a sample of the batch",
    ),
    Mutant(
        "sgd/_chain_step.py",
        "(1.0 - radial) * shrink",
        "shrink",
        CHAIN,
        "radial part of the step left in on the sphere",
    ),
    Mutant("sgd/_chain_step.py", "inner / batch * load", "inner * load", CHAIN, "inner step of a batch not its mean"),
    Mutant("sgd/_chain_step.py", "total += square(n", "total = square(n", CHAIN, "norm of the last neuron alone"),
    Mutant(
        "sgd/_chain_step.py",
        "fma(keep, load(n.first_c, (s, j, 0)), load(n.c, (s, j, 0)))",
        "load(n.first_c, (s, j, 0)) + load(n.c, (s, j, 0))",
        f"{CHAIN_LONG}[1-twice]",
        "first of two steps does not decay",
    ),
    Mutant(
        "sgd/_chain_step.py",
        "and not size <= bound",
        "and size > bound",
        "test_chain_ends.py::test_a_poisoned_lane_ends_at_once_and_alone[V-nan-plain]",
        "NaN comparison flipped",
    ),
    Mutant(
        "sgd/_chain_step.py",
        "choose(alive, fma(of_a, up, rates[KEEP_A] * a), a)",
        "fma(of_a, up, rates[KEEP_A] * a)",
        "test_chain_ends.py::test_a_dead_lane_does_not_move",
        "a lane that has ended goes on",
    ),
    Mutant(
        "sgd/_chain_radii.py",
        "< filled(-0.5), shrink * w, w)",
        "< filled(-0.5), shrink * w, shrink * w)",
        RADII,
        "released coordinates rescaled",
    ),
    Mutant("sgd/_chain_radii.py", "filled(number + 1.0)", "filled(1.0 * number)", RADII, "release a step early"),
    Mutant(
        "sgd/_compress.py",
        "along = -tau * along",
        "along = tau * along",
        "test_chain_kernels.py::test_compression_is_that_of_householder_and_keeps_the_gram_matrix",
        "reflector added instead of taken away",
    ),
    Mutant("sgd/_chi.py", "1.0 / (108.0 * d)", "1.0 / (216.0 * d)", CHAIN_LENGTHS, "quick acceptance too generous"),
    Mutant("sgd/_chi.py", "2 * attempt, TWO", "attempt, TWO", CHAIN_LENGTHS, "attempts share their counters"),
    Mutant(
        "sgd/_chi.py",
        "spare.normals[r, lane]",
        "spare.normals[r, 0]",
        CHAIN_LENGTHS,
        "the first lane's attempt for all",
    ),
    Mutant(
        "sgd/bundles.py",
        "values[seed, first:] = np.nan",
        "values[seed, first + 1 :] = np.nan",
        "test_chain_ends.py::test_divergence_is_found_at_its_step_and_the_others_go_on[square]",
        "a row after the end kept",
    ),
    Mutant(
        "sgd/chain.py",
        "values[name][lanes.status != Status.DONE] = value",
        "pass",
        "test_chain_ends.py::test_overlaps_that_overflow_end_their_lane_at_the_output",
        "one lane that overflows ends its neighbours",
    ),
    Mutant(
        "sgd/chain.py",
        'int(arrays["directions"]), int',
        "self.directions, int",
        "test_chain_checkpoints.py::test_stopped_and_resumed_again_and_again_gives_the_same_bits[plain]",
        "directions in use forgotten by a checkpoint",
    ),
    Mutant(
        "sgd/chain_start.py",
        "rest -= np.multiply.outer(columns[-1], columns[-1])",
        "rest[pivot, pivot] = 0.0",
        CHAIN,
        "pivots of R not taken off",
    ),
    Mutant(
        "network.py",
        "rng.chisquare(freedom - np.arange(columns))",
        "rng.chisquare(freedom - 0 * np.arange(columns))",
        "test_network.py::test_residuals_alone_have_the_law_of_those_of_weights[5]",
        "all lengths of the same degrees of freedom",
    ),
    # ---- neurons that are alone, escape steps, reduced runs
    Mutant(
        "sgd/_alone_draws.py", "room - 1, rows + 1", "room, rows + 1", ALONE_DRAWS, "one degree of freedom too many"
    ),
    Mutant("sgd/_alone_draws.py", "twice * v * v * v", "twice * v * v", ALONE_DRAWS, "v squared for v cubed"),
    Mutant("sgd/_alone_draws.py", "attempt += 2", "attempt += 0", ALONE_AGAIN, "all attempts are the same"),
    Mutant(
        "sgd/_alone_draws.py",
        "U(U(number) + U(call))",
        "U(U(group[0]) + U(call))",
        ALONE_DRAWS,
        "all at one lane's step",
    ),
    Mutant("sgd/_alone_labels.py", "-(k * before)", "-((k + 1.0) * before)", ALONE_STEP, "He_k with the wrong factor"),
    Mutant("sgd/_alone_step.py", "fma(-held, held,", "fma(held, held,", ALONE_SAM, "room of the inner step"),
    Mutant(
        "sgd/_alone_step.py",
        "k = root(sum_cc)",
        "k = sum_c",
        ALONE_BATCH,
        "samples of a batch alike outside",
    ),
    Mutant(
        "sgd/_alone_step.py",
        "rest = choose(stays, fma(one, one, rest), rest)",
        "rest = fma(one, one, rest)",
        ALONE_RADII,
        "released",
    ),
    Mutant(
        "sgd/_alone_step.py",
        "if plan.batch == 1 and not plan.inner",
        "if plan.batch == 1",
        ALONE_SAM,
        "the loop without an inner step for steps that have one",
    ),
    Mutant(
        "sgd/alone.py",
        "-np.sqrt(n) * scale",
        "-np.sqrt(n + 1.0) * scale",
        "test_alone.py::test_other_activations_and_as_few_coordinates_as_there_are[40-hermite:3]",
        "a wrong factor in the recursion of a polynomial activation",
    ),
    Mutant(
        "sgd/_alone_events.py",
        "lanes.when[e, lane] < 0",
        "lanes.when[e, lane] < 10**9",
        "test_alone_runs.py::test_events_are_found_at_the_first_step_that_crosses",
        "the last crossing for the first",
    ),
    Mutant(
        "sgd/_alone.py",
        "lanes.base[lane] += size",
        "lanes.base[lane] += size - 4",
        "test_alone.py::test_every_step_is_that_of_the_twin[free]",
        "a group of samples seen twice",
    ),
    Mutant(
        "sgd/replicas.py",
        "(rows | state).items()",
        "rows.items()",
        "test_alone_runs.py::test_stopped_and_resumed_again_and_again_gives_the_same_bits[everything]",
        "a checkpoint forgets the lanes",
    ),
    Mutant(
        "survival.py",
        "self.steps, ~self.escaped)",
        "self.steps, self.escaped)",
        SURVIVAL,
        "censored and escaped exchanged",
    ),
    Mutant("survival.py", "1.0 - q + 1e-12", "q + 1e-12", SURVIVAL, "the quantile from the other side"),
    Mutant(
        "reduction.py",
        "first=job.first + first",
        "first=job.first",
        "test_reduction.py::test_ends_and_events_are_those_of_the_whole_run_whatever_the_parts[sgd]",
        "every part runs the same data seeds",
    ),
    Mutant(
        "reduction.py",
        "np.where(beyond, 1.0, ahead)",
        "ahead",
        "test_reduction.py::test_events_lie_between_the_rows_that_they_separate",
        "what starts beyond the level counts",
    ),
]
