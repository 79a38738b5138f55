"""Ranking metrics, what lies beyond accuracy, intervals and counterfactual estimators: all pure, all by listener."""
