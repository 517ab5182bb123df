"""Models of other libraries as their own loaders take them, checked before these see a byte.

The loaders believe what they read: a child that is not there, or sets of categories that reach
beyond their array, end the process when the first row is predicted. So what they are given is
written here anew of what was read and checked: `xgboost.sound_model` and `lightgbm.sound_model`.
"""
