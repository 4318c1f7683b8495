"""The same facts learned, retrieved, prompted, or both: which way of answering recalls most where the facts fit?"""
