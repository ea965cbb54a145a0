if __name__ == "__main__":
    DBOS.launch()
    threading.Event().wait()
