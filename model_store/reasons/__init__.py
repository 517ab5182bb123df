"""Reasons: how much each column of a row contributes to what is answered, so that a base value and
all contributions are the answer.

They are computed from the plain form alone, with numpy. `explainer` has the definition and chooses
how; `exact` knows linear models, trees and means of them, by `linear_parts` and `tree_boxes`;
`asking` finds them by asking, for anything else.
"""
