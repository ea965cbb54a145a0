@DBOS.dbos_class()
class URLFetcher(DBOSConfiguredInstance):
    def __init__(self, url: str):
        self.url = url
        super().__init__(config_name=url)
    @DBOS.workflow()
    def fetch_workflow(self):
        return self.fetch_url()
    @DBOS.step()
    def fetch_url(self):
        return requests.get(self.url).text
example_fetcher = URLFetcher("https://example.com")
print(example_fetcher.fetch_workflow())
